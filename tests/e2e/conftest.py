"""Drills on the local cluster (`python -m cluster up`): each test is one, with its report in build/report/<test>/."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from drills.errors import NotReady
from drills.fixtures import bootstrap, images, local_cluster
from drills.observe.watcher import Kubernetes
from drills.report import html
from drills.report.result import ScenarioResult
from drills.scenarios import demo
from drills.steps.environment import Environment

RESULTS = pytest.StashKey[list[ScenarioResult]]()
FAILURE = pytest.StashKey[str]()
# Every image that a drill releases is there before the first one begins: a build under load would slow it down.
IMAGES = (*demo.RECIPES, images.good("1.4"))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome = yield
    if call.excinfo is not None and call.when == "call":
        item.stash[FAILURE] = str(call.excinfo.value) or repr(call.excinfo.value)
    return outcome


@pytest.fixture(scope="session")
def kubernetes() -> Kubernetes:
    """The local cluster with the checkout's HEAD, 1.0 in dev and production."""
    try:
        local_cluster.prepare()
        bootstrap.install()
        for recipe in IMAGES:
            images.image(recipe)
        kubernetes = Kubernetes()
        first = images.image(images.good("1.0"))
        with (
            Environment("dev", kubernetes, drill="first-release-dev", title="1.0 to dev") as dev,
            Environment(
                "production", kubernetes, drill="first-release", title="1.0 to production"
            ) as production,
        ):
            dev.deliver("release", "--image", first.reference, "--to", "dev")  # both start at the same time
            production.serving("1.0")
            dev.serving("1.0")
    except NotReady as error:
        pytest.exit(f"The drills cannot start: {error}", returncode=1)
    return kubernetes


@pytest.fixture
def environment(
    request: pytest.FixtureRequest, kubernetes: Kubernetes
) -> Iterator[Callable[[str], Environment]]:
    """Environments by name, for one drill that is named after the test."""
    drill = request.node.name.removeprefix("test_").replace("_", "-").replace("[", "-").removesuffix("]")
    scene = getattr(request.node, "callspec", None) and request.node.callspec.params.get("scene")
    title = scene.title if scene else (request.function.__doc__ or drill).strip().splitlines()[0].rstrip(".")
    opened: list[Environment] = []

    with ExitStack() as stack:

        def open_one(name: str) -> Environment:
            folder = drill if not opened else f"{drill}-{name}"
            made = Environment(name, kubernetes, drill=folder, title=title)
            opened.append(stack.enter_context(made))
            return made

        yield open_one

        problem = request.node.stash.get(FAILURE, None)
        for each in opened:
            if problem:
                each.failed(problem)
            if each.attempts:
                result = each.result()
                if len(result.record):  # a drill without load has nothing to draw
                    html.write_drill(result, each.folder)
                    request.config.stash[RESULTS].append(result)


@pytest.fixture
def production(environment: Callable[[str], Environment]) -> Environment:
    return environment("production")


@pytest.fixture
def dev(environment: Callable[[str], Environment]) -> Environment:
    return environment("dev")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    results = config.stash[RESULTS]
    if not results:
        return
    html.write_summary(results, local_cluster.REPORT)
    terminalreporter.section("drills")
    for result in results:
        terminalreporter.write_line(("✗ " if result.problem else "✓ ") + result.line())
    terminalreporter.write_line(f"The report: {local_cluster.REPORT / 'index.html'}")
