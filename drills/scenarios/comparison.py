"""`python -m drills.scenarios.comparison`: one bad release under one load, shipped by baselines and by this platform.

Takes about 45 minutes, nearly all of them the analysis of Argo Rollouts' documentation, which measures every 5 minutes.
Its page and picture: `make results`, docs/results/comparison.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import yaml

from delivery.kubernetes.objects import Object
from drills import runner
from drills.fixtures import baselines, images, local_cluster, settings
from drills.fixtures.baselines import NAME, NAMESPACE
from drills.load.traffic import traffic, usual_rate
from drills.observe.snapshot import Snapshot
from drills.observe.watcher import Kubernetes
from drills.report import html, markdown, whole_run
from drills.report.result import ScenarioResult
from drills.scenarios import verdicts
from drills.scenarios.scenario import GOOD
from drills.steps.duration import minutes, seconds
from drills.steps.environment import Environment
from drills.steps.given import Given

_GOOD, _BAD = images.good("1.0"), images.errors()
# A plain rolling update is never rolled back by itself: it is watched for so long, and then undone by hand.
_WATCHED = minutes(5)
# Four failed measurements, five minutes apart, after two steps; then some.
_DOCUMENTED = minutes(32)
# Before the users' access tokens end, others take over.
_ONE_LOAD = minutes(12)
_NEVER = "never by itself"
_COLUMNS = ("shipped by", "failed requests", "s from push to verdict", "s from first failure to weight 0")

Baseline = Callable[[list[Object]], list[Object]]


def main() -> int:
    return runner.status("compare", _compared)


def _compared() -> list[ScenarioResult]:
    started = time.monotonic()
    whole_run.discard("comparison")
    results = _play()
    html.write_summary(results, local_cluster.REPORT)
    whole_run.write("comparison", text(results))
    runner.show(results, time.monotonic() - started)
    return results


def text(results: Sequence[ScenarioResult]) -> str:
    """The page as Markdown."""
    rows = [
        (
            result.title,
            f"{len(result.record.failed)} of {len(result.record)} ({result.record.failed_share:.2%})",
            markdown.seconds(result.seconds_to_verdict, never=_NEVER),
            markdown.seconds(result.seconds_from_first_failure_to_zero, never=_NEVER),
        )
        for result in results
    ]
    ours, usual = (settings.values(file)["analysis"] for file in (settings.LOCAL_SETTINGS, settings.CHART))
    about = [
        f"with 500, users send {usual_rate()} requests/s. The rolling update is undone by hand",
        f"{_WATCHED.total_seconds() / 60:.0f} minutes after it was complete. Argo Rollouts' example is that of its",
        "documentation on background analysis: 20, 40, 60, 80 %,",
        "10 minutes each, analysis from the second step on, every 5 minutes, `failureLimit: 3`. This platform measures",
        f"every {ours['interval']} from {ours['initialDelay']} on, as in all its drills; by itself the chart measures",
        f"every {usual['interval']} from {usual['initialDelay']} on.",
    ]
    lead = f" at commit {images.head()[:12]}: version 1.2 answers every request"
    return markdown.page("comparison", results, lead, about, markdown.table(_COLUMNS, rows))


def _play() -> list[ScenarioResult]:
    kubernetes = runner.set_up([_GOOD, _BAD, *map(images.good, GOOD)])
    return [
        _theirs(
            "deployment", "A plain Kubernetes rolling update", baselines.as_deployment, _undone, kubernetes
        ),
        _theirs(
            "documented", "Argo Rollouts' documented analysis", baselines.as_documented, _aborted, kubernetes
        ),
        runner.perform(
            Environment("production", kubernetes, drill="ours", title="This platform", strategy="canary"),
            lambda production: verdicts.errors(production, _BAD),
        ),
    ]


def _theirs(
    drill: str, title: str, baseline: Baseline, ending: Callable[[Environment], None], kubernetes: Kubernetes
) -> ScenarioResult:
    with _namespace():
        good, bad = images.image(_GOOD), images.image(_BAD)
        environment = Environment(NAME, kubernetes, drill=drill, title=title)

        def play(environment: Environment) -> None:
            _apply(baseline(baselines.rendered(good)))
            # Nobody puts the migration before the pods here.
            _kubectl("wait", "--for=condition=complete", "job/crm-migrate", "--timeout=4m", seconds=250)
            environment.wait_until(
                lambda _: environment.answering_version() == good.version,
                minutes(4),
                f"{good.version} to answer",
            )
            Given(environment, good).under(traffic())
            push = environment.log_action(f"push {bad.version}", kind="push")
            environment.attempt(bad, before=good, push=push)
            _apply(_workload(baseline(baselines.rendered(bad))))
            ending(environment)

        return runner.perform(environment, play)


def _undone(environment: Environment) -> None:
    _kubectl("rollout", "status", "deployment/crm", "--timeout=5m", seconds=310)
    environment.log("the rolling update is complete")
    until = time.monotonic() + _WATCHED.total_seconds()
    environment.wait_until(
        lambda _: time.monotonic() > until, _WATCHED + seconds(10), "a few minutes to pass"
    )
    environment.log_action("kubectl rollout undo", kind="push")
    _kubectl("rollout", "undo", "deployment/crm")
    _kubectl("rollout", "status", "deployment/crm", "--timeout=5m", seconds=310)


def _aborted(environment: Environment) -> None:
    relieved = time.monotonic()

    def aborted(seen: Snapshot) -> bool:
        nonlocal relieved
        if time.monotonic() - relieved > _ONE_LOAD.total_seconds():
            # With the version before, past the router: the bad one registers nobody.
            environment.start_load(traffic(), sign_up_at=_stable())
            relieved = time.monotonic()
        return bool(seen.rollout and seen.rollout.aborted)

    environment.wait_until(aborted, _DOCUMENTED, "the documented analysis to abort")
    environment.wait_until(lambda seen: not seen.canary_weight, minutes(1), "the weight 0")


def _stable() -> str:
    """Where the version before answers, whatever the router does."""
    where = "--output=jsonpath={.spec.clusterIP}:{.spec.ports[0].port}"
    return "http://" + local_cluster.output(
        ["kubectl", "--namespace", NAMESPACE, "get", "service/crm-stable", where]
    )


def _workload(objects: list[Object]) -> list[Object]:
    """What a release changes: the rest was applied with the version before."""
    return [
        each
        for each in objects
        if each["kind"] in ("Deployment", "Rollout") and each["metadata"]["name"] == "crm"
    ]


def _apply(objects: list[Object]) -> None:
    options = ("--server-side", "--force-conflicts", "--filename=-")
    _kubectl("apply", *options, stdin=yaml.safe_dump_all(objects), seconds=120)


@contextmanager
def _namespace() -> Iterator[None]:
    """Empty, also when an earlier run left one behind."""
    delete = ["kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found"]
    local_cluster.output(delete, seconds=180)
    local_cluster.output(["kubectl", "create", "namespace", NAMESPACE])
    try:
        yield
    finally:
        local_cluster.output(delete, seconds=180)


def _kubectl(*words: str, stdin: str | None = None, seconds: float = 60) -> None:
    local_cluster.output(["kubectl", "--namespace", NAMESPACE, *words], stdin=stdin, seconds=seconds)


if __name__ == "__main__":
    sys.exit(main())
