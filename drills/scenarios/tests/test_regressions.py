"""Each scenario has an image of its own: two recipes of one version would overwrite each other's tag."""

from drills.scenarios import regressions
from drills.scenarios.regressions import REGRESSIONS
from drills.scenarios.releases import MATRIX


def test_they_are_part_of_the_matrix_and_each_has_an_image_of_its_own() -> None:
    assert set(REGRESSIONS) <= set(MATRIX)
    recipes = {scenario.recipe for scenario in MATRIX if scenario.recipe} | {regressions._STABLE}
    assert len({recipe.version for recipe in recipes}) == len(recipes)
