"""Who may import whom, as docs/architecture.md says it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What a program, its tests included, may import beside itself; tests/ may import everything.
KNOWN: dict[str, set[str]] = {
    "app": set(),
    "cluster": set(),
    "delivery": {"monitoring"},  # its tests: the receiver of messages
    "monitoring": {"delivery"},  # the limits of a verdict
    "pipeline": {"app", "monitoring"},
    "drills": {"app", "cluster", "delivery", "monitoring"},
}
# What stands in a line may import what stands in the lines above it, and itself.
LEVELS = (
    ("errors",),
    ("texts",),
    ("processes", "web"),
    ("gitops",),
    ("images", "kubernetes"),
    ("notifications",),
    ("guard",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}


OURS = {**dict.fromkeys([*KNOWN, "tests"]), "crm": "app", "config": "app"}


def imports(folder: str) -> Iterator[tuple[Path, list[str]]]:
    """Each module below a folder of the checkout, and what it imports of our own programs."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{each.name}" for each in node.names]
            else:
                continue
            for first, *rest in (name.split(".") for name in names):
                if first in OURS:
                    yield path.relative_to(ROOT), [OURS[first] or first, *rest]


@pytest.mark.parametrize("program", KNOWN)
def test_a_program_imports_no_other_that_it_should_not_know(program: str) -> None:
    found = list(imports(program))
    assert found
    assert not [f"{path}: {'.'.join(to)}" for path, to in found if to[0] not in {program, *KNOWN[program]}]


def test_imports_within_delivery_run_one_way() -> None:
    wrong = []
    for path, to in imports("delivery"):
        room = path.parts[1].removesuffix(".py")
        if "tests" in path.parts or room == "conftest":
            continue  # a test may build on all of delivery
        if "tests" in to or to[0] != "delivery" or (to[1] != room and LEVEL[to[1]] >= LEVEL[room]):
            wrong.append(f"{path}: {'.'.join(to)}")
    assert not wrong
