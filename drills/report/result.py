"""The result of one drill: what was done, what was observed and what users got. Reports are made of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from drills.load.results import Record
from drills.observe import timeline
from drills.observe.snapshot import Snapshot
from drills.observe.timeline import Moment


@dataclass(frozen=True)
class AlertResult:
    """How an alert was seen to fire and to end; times in seconds."""

    fault: str
    """What was done, as a sentence without its full stop."""
    promised: float
    """From the fault until somebody is notified, at the latest, with the drill's time scale."""
    fired: float
    """From the fault until Prometheus called it firing."""
    notified: float | None
    """From the fault until the message; None where another alert of the same fault holds this one back."""
    ended_by: str
    """What was done then: a command of the page, or what else ended the fault."""
    over: float
    """From that until it fired no more."""


@dataclass(frozen=True)
class ScenarioResult:
    name: str
    title: str
    environment: str
    stable: str
    """The version that was stable when the drill began."""
    released: str | None
    """The version that was released; None when the drill ended before."""
    pushed_at: float | None
    record: Record
    snapshots: list[Snapshot] = field(default_factory=list)
    actions: list[Moment] = field(default_factory=list)
    """What the drill itself did: push, sync by hand, promote, delete a pod."""
    problem: str | None = None
    """What failed; None for a drill that went as it should."""
    version_in_git: str | None = None
    """The version that the release file named when the drill ended."""
    rolled_back_at: float | None = None
    """When Git was seen to name the release before again, put back by the guard."""
    findings: list[str] = field(default_factory=list)
    """What only this drill measured, each in words: the shares of its steps, whose requests the group's were."""
    alerts: dict[str, AlertResult] = field(default_factory=dict)
    """Each alert that fired as it should and is over, by its name."""

    @property
    def moments(self) -> list[Moment]:
        """Everything that happened, in order."""
        return sorted([*self.actions, *timeline.moments(self.snapshots)], key=lambda moment: moment.at)

    @property
    def ending(self) -> Moment | None:
        """What became of the drill's release: the moment when it was aborted or promoted."""
        return None if self.pushed_at is None else timeline.ending(self.snapshots, self.pushed_at)

    @property
    def verdict(self) -> str:
        if self.ending is not None:
            return {"abort": "rolled back", "promoted": "promoted"}[self.ending.kind]
        if self.rolled_back_at is not None:  # by the guard, before there was a verdict about its traffic
            return "rolled back"
        return "undecided" if self.released else "no verdict"

    @property
    def seconds_to_verdict(self) -> float | None:
        """From the push to the verdict, or to the moment when Git was seen to be back where there was none."""
        ended_at = self.ending.at if self.ending else self.rolled_back_at
        return None if ended_at is None or self.pushed_at is None else ended_at - self.pushed_at

    @property
    def weights(self) -> list[int]:
        return timeline.weights_seen(self.snapshots, self.pushed_at or 0.0)

    @property
    def seconds_from_first_failure_to_zero(self) -> float | None:
        """From the first failed answer to the moment when no new request went to the canary any more.

        None without a failed answer to a request from before that, and while the canary's weight was never seen or
        never back at 0.
        """
        held = timeline.windows(self.snapshots)
        if not any(window.weight for window in held) or held[-1].weight:
            return None
        # The last return to 0: a snapshot of the old 0 from before the canary's first requests is none.
        back = held[-1].start
        # What was sent later is not the canary's fault.
        failed_at = self.record.first_failed_answer(sent_before=back)
        return None if failed_at is None else max(0.0, back - failed_at)

    @property
    def seconds_from_abort_to_rollback(self) -> float | None:
        """From the abort, as it was seen, to the moment when Git was seen to be back."""
        if self.rolled_back_at is None or self.ending is None or self.ending.kind != "abort":
            return None
        return max(0.0, self.rolled_back_at - self.ending.at)

    @property
    def measurements(self) -> int:
        """How often an analysis of this release asked Prometheus or the canary's Service."""
        before = {
            run.name for each in self.snapshots if each.at < (self.pushed_at or 0.0) for run in each.analyses
        }
        taken: dict[str, int] = {}
        for each in self.snapshots:
            taken |= {
                run.name: sum(metric.taken for metric in run.results)
                for run in each.analyses
                if run.name not in before
            }
        return sum(taken.values())

    @property
    def end_state(self) -> str:
        """What Git, Argo Rollouts and Argo CD reported when the drill ended."""
        last = self.snapshots[-1] if self.snapshots else None
        rollout = last.rollout.phase or "Unknown" if last and last.rollout else "no Rollout"
        application = last.application if last else None
        argocd = f"{application.sync}, {application.health}" if application else "no Application"
        return f"Git {self.version_in_git or '?'}, Rollout {rollout}, Argo CD {argocd}"

    def line(self) -> str:
        """The drill in one line."""
        seconds = self.seconds_to_verdict
        took = "" if seconds is None else f" after {seconds:.0f} s"
        weights = " → ".join(map(str, self.weights)) or "none"
        failed = f"{len(self.record.failed)} of {len(self.record)} requests failed ({self.record.failed_share:.2%})"
        return f"{self.title}: {self.verdict}{took}, {failed}, canary's weights {weights} %"
