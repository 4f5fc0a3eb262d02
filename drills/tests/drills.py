"""A drill as it would have been, second by second, for tests of what is counted and drawn."""

from __future__ import annotations

from delivery.kubernetes.analysis import AnalysisResult, AnalysisRun, Measurement
from delivery.kubernetes.application import Application
from delivery.kubernetes.rollout import RolloutStatus
from drills.load.results import Record, Request
from drills.observe.snapshot import Snapshot
from drills.observe.timeline import Moment
from drills.report.result import ScenarioResult

PUSHED = 1_800_000_000.0
RATE = 20


def rollout(
    phase: str = "Healthy",
    stable: str = "old",
    newest: str = "old",
    *,
    aborted: bool = False,
    image: str = "crm",
) -> RolloutStatus:
    return RolloutStatus(
        phase=phase,
        steps=8,
        aborted=aborted,
        stable_hash=stable,
        newest_hash=newest,
        image=image,
    )


def application(finished_at: str = "before", operation: str = "Succeeded") -> Application:
    return Application(
        sync="Synced",
        health="Healthy",
        revision="abc",
        operation=operation,
        finished_at=finished_at,
        wanted_revision="abc",
        wanted_digest="sha256:1",
    )


def seen(
    after: float,
    weight: int = 0,
    *,
    of: RolloutStatus | None = None,
    analyses: tuple[AnalysisRun, ...] = (),
    finished_at: str = "before",
) -> Snapshot:
    """A snapshot so many seconds after the push."""
    return Snapshot(
        at=PUSHED + after,
        rollout=of or rollout(),
        weights={"stable": 100 - weight, "canary": weight},
        analyses=analyses,
        application=application(finished_at),
    )


def failed_analysis(phase: str = "Failed", name: str = "crm-1", taken: int = 1) -> AnalysisRun:
    answer = Measurement(phase, "[9]", finished_at="2027-01-15T08:00:30Z")
    result = AnalysisResult("error-rate-watch", phase, measurements=(answer,), taken=taken)
    return AnalysisRun(name, "new", "1", "2027-01-15T08:00:00Z", phase, results=(result,))


def requests(
    start: float, end: float, *, new_from: float = 0, new_until: float = 0, every: int = 20, code: int = 200
) -> Record:
    """RATE requests a second; every so many-th goes to 1.1 between two times (seconds after the push)."""
    found = []
    for number in range(int((end - start) * RATE)):
        after = start + number / RATE
        new = new_from <= after < new_until and number % every == 0
        found.append(
            Request(
                at=PUSHED + after,
                latency=0.02 + 0.001 * (number % 7),
                code=code if new else 200,
                version="1.1" if new else "1.0",
                error="500 Internal Server Error" if new and code != 200 else "",
            )
        )
    return Record(found)


def good() -> ScenarioResult:
    """1.1 goes through 5, 20, 50 and 100 % and is promoted 50 s after the push."""
    moving = rollout("Progressing", newest="new")
    snapshots = [
        seen(-5),
        seen(4, of=moving, finished_at="after"),
        seen(15, 5, of=moving, finished_at="after"),
        seen(25, 20, of=moving, finished_at="after"),
        seen(35, 50, of=moving, finished_at="after"),
        seen(45, 100, of=moving, finished_at="after"),
        seen(50, 0, of=rollout(stable="new", newest="new"), finished_at="after"),
        seen(60, 0, of=rollout(stable="new", newest="new"), finished_at="after"),
    ]
    record = requests(-5, 60, new_from=15, new_until=25)
    push = Moment(PUSHED, "push", "push 1.1")
    return ScenarioResult(
        "good", "A good release", "production", "1.0", "1.1", PUSHED, record, snapshots, [push]
    )


def bad() -> ScenarioResult:
    """1.1 answers 500 at 5 %, is aborted 28 s after the push, and the release is taken back at 35 s."""
    moving = rollout("Progressing", newest="new")
    aborted = rollout("Degraded", newest="new", aborted=True)
    running = failed_analysis("Running")
    snapshots = [
        seen(-5),
        seen(15, 5, of=moving, analyses=(running,)),
        seen(27, 5, of=moving, analyses=(failed_analysis(),)),
        seen(28, 0, of=aborted, analyses=(failed_analysis(),)),
        seen(40, 0, of=rollout(), analyses=(failed_analysis(),)),
        seen(60, 0, of=rollout(), analyses=(failed_analysis(),)),
    ]
    record = requests(-5, 60, new_from=15, new_until=28, code=500)
    actions = [Moment(PUSHED, "push", "push 1.1"), Moment(PUSHED + 35, "push", "push rollback")]
    return ScenarioResult(
        "bad", "A bad release", "production", "1.0", "1.1", PUSHED, record, snapshots, actions
    )
