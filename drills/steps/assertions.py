"""What must have been so by the end: for users, and for a release."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from delivery.gitops import branch, git
from drills.fixtures import local_cluster
from drills.fixtures.images import Image
from drills.load.results import Request
from drills.observe import timeline
from drills.steps.load import LoadSteps

if TYPE_CHECKING:
    from drills.steps.environment import Environment

# Fewer requests in all would show little.
LEAST = 1_000
# What a good release sees in 100 s at 40/s. Back after 12 s at 5 % is 0.5 % of all only if users stay as long as that.
OF_A_RELEASE = 4_000
# A release is watched for some seconds after its end, so that a failure at the very end is seen.
AFTER = 200
_MOST_KINDS_SHOWN = 5
# Of the pods behind the canary Service in a release: a few are usual, 190 were Argo Rollouts in two minds for 30 s.
_MOST_CHANGES = 100


class LoadAssertions(LoadSteps):
    """Of all requests of the drill, and of the pods and e-mails behind them. Most end the load."""

    def assert_no_failed_requests(self, *, of_at_least: int = LEAST, after: int = AFTER) -> None:
        """Every request was answered, and well. Ends the load, with `after` only after so many more requests."""
        self._requests(of_at_least, after)
        if self.record.failed:
            self._fail("no failed request", self._failures())

    def assert_error_rate_below(
        self, limit: float, *, of_at_least: int = OF_A_RELEASE, after: int = AFTER
    ) -> None:
        """At most that share of the requests failed. Ends the load, with `after` only after so many more requests."""
        self._requests(of_at_least, after)
        if self.record.failed_share > limit:
            self._fail(f"at most {limit:.1%} of the requests to fail", self._failures())

    def assert_failed_requests(self, *, exactly: int) -> None:
        """Ends the load. So many requests failed and no more."""
        if len(self.record.failed) != exactly:
            self._fail(f"exactly {exactly} failed requests", self._failures())

    def assert_failures_only_between(self, start: float, end: float) -> None:
        """Ends the load. Every request that was sent at another time was answered well."""
        others = [each for each in self.record.failed if not start <= each.at <= end]
        if others:
            off = max(each.at - end for each in others)
            self._fail(
                "failed requests in that time alone", f"{len(others)} others, the last {off:.1f} s after it"
            )

    def assert_latency_at_most(self, limit: timedelta) -> None:
        """Ends the load. No answer took longer."""
        slowest = max(each.latency for each in self.record.requests)
        self.environment.log_finding(f"the slowest answer took {slowest:.2f} s")
        if slowest > limit.total_seconds():
            self._fail(f"answers within {limit.total_seconds():g} s", f"one after {slowest:.1f} s")

    def assert_pods_never_restarted(self) -> None:
        """No container of a web pod ended in this drill."""
        found = {pod.name for seen in self.environment.snapshots for pod in seen.pods if pod.restarts}
        if found:
            self._fail("no restart of a web pod", ", ".join(sorted(found)))

    def assert_pods_stayed_ready(self, since: float) -> None:
        """No web pod that was ready then left its Service."""
        seen = [each for each in self.environment.snapshots if each.at >= since]
        left = {pod.name for each in seen for pod in each.pods if not pod.ready}
        if not seen or left:
            self._fail("web pods that stay ready", ", ".join(sorted(left)) or "nothing was seen")

    def assert_each_email_sent_once(self, since: float, *, within: timedelta) -> None:
        """What the CRM has queued since then came to its receivers, and nothing twice."""

        def queued(status: str) -> set[str]:
            since_then = f"created_at >= to_timestamp({since}) and status {status}"
            query = f"select key from notifications_email where {since_then}"  # nosec B608  # noqa: S608  # nothing of a stranger's
            user = 'PGPASSWORD="$POSTGRES_PASSWORD" psql --host=127.0.0.1 --username="$POSTGRES_USER"'
            psql = f'{user} --dbname="$POSTGRES_DB" -Atc "{query}"'
            pod = ("postgresql-0", f"--namespace={self.environment.namespace}")
            return set(local_cluster.output(["kubectl", "exec", *pod, "--", "sh", "-c", psql]).split())

        self.environment.wait_until(lambda _: not queued("= 'ready'"), within, "every e-mail to be sent")
        came, expected = self.environment.inbox.mails(since), queued("is not null")
        wrong = {key: came[key] for key in expected if came[key] != 1}
        if not expected or wrong:
            self._fail(
                "each e-mail once", f"{len(wrong)} of {len(expected)} otherwise: {sorted(wrong.items())[:5]}"
            )
        self.environment.log_finding(f"{len(expected)} e-mails were queued, and each came once")

    def _requests(self, at_least: int, after: int) -> None:
        if after:
            self.end_load(after=after, of_at_least=at_least)
        if len(self.record) < at_least:
            self._fail(f"at least {at_least} requests", str(len(self.record)))

    def _failures(self) -> str:
        kinds = self.record.failures_by_kind().most_common(_MOST_KINDS_SHOWN)
        listed = "; ".join(f"{count} times {kind}" for kind, count in kinds)
        return f"{len(self.record.failed)} of {len(self.record)} failed: {listed}"


class ReleaseAssertions(LoadAssertions):
    """Of a release since its push."""

    def __init__(self, environment: Environment, image: Image, *, before: Image, pushed_at: float) -> None:
        super().__init__(environment)
        self.image = image
        self.before = before
        self.pushed_at = pushed_at
        self.wanted_since = pushed_at
        """When Git began to name what it names now: the release, or after a rollback the one before."""
        self._changes_before = self._changes_of_canary_service()

    # --- Git

    def assert_in_git(self) -> None:
        """The release file still names the release."""
        named = self.environment.release_in_git()
        if named is None or named.image.digest != self.image.digest:
            self._fail(f"{version_of(self.image)} in Git", str(named))

    def assert_rollback_reason(self, reason: str) -> None:
        """The newest commit that changed the environment's release gives that reason; its message is shown."""
        environment = self.environment
        with git.opened(local_cluster.GIT, local_cluster.CHECKOUT) as repository:
            commit = branch.fetch(repository).last_commit(environment.name)
            message = repository.message(commit) if commit else ""
        if reason not in message:
            self._fail(f"{reason!r} in the newest commit's message", message)
        for line in message.splitlines():
            environment.log(f"  {line}" if line else "")

    # --- the Rollout

    def assert_no_pod_started(self) -> None:
        """No web pod of the release was ever there."""
        snapshots = self.environment.snapshots
        known = {pod.pod_hash for seen in snapshots if seen.at < self.pushed_at for pod in seen.pods}
        found = {pod.name for seen in snapshots for pod in seen.pods if pod.pod_hash not in known}
        if found:
            self._fail("no web pod of the release", ", ".join(sorted(found)))

    def assert_not_aborted(self) -> None:
        """Nobody aborted the release, and its image is not in quarantine."""
        aborted = any(each.rollout and each.rollout.aborted for each in self.environment.snapshots)
        if aborted or self.environment.quarantined(self.image):
            self._fail("a release that was not aborted", "an abort, or its image in quarantine")

    def assert_replicas(self, *, at_least: int = 1, at_most: int | None = None) -> None:
        """Since the push nobody wanted fewer pods than that, or more, not for a moment."""
        snapshots = (each for each in self.environment.snapshots if each.at >= self.pushed_at)
        wanted = sorted({each.rollout.replicas for each in snapshots if each.rollout})
        if not wanted or wanted[0] < at_least:
            self._fail(f"at least {at_least} replicas", str(wanted))
        if at_most and wanted[-1] > at_most:
            self._fail(f"at most {at_most} replicas", str(wanted))

    def assert_weights(self, *weights: int) -> None:
        """The router had exactly these weights for the canary, in this order (0 left out)."""
        found = timeline.weights_seen(self.environment.snapshots, self.pushed_at)
        if found != list(weights):
            self._fail(f"the canary's weights {list(weights)}", str(found))

    def assert_weight_at_most(self, limit: int) -> None:
        found = timeline.weights_seen(self.environment.snapshots, self.pushed_at)
        if max(found, default=0) > limit:
            self._fail(f"a canary that never gets more than {limit} %", f"the weights {found}")

    def assert_no_new_steps(self) -> None:
        """Since the last push the canary got no traffic, nothing was analysed and the stable version stayed."""
        since, snapshots = self.wanted_since, self.environment.snapshots
        after = bisect_left(snapshots, since, key=lambda each: each.at)
        seen = snapshots[max(after - 1, 0) :]  # with the last one before the push, to compare with
        weights = timeline.weights_seen(seen, since)
        if weights:
            self._fail("no weight for a canary after the rollback", str(weights))
        runs = {run.name for each in seen for run in each.analyses} - {run.name for run in seen[0].analyses}
        if runs:
            self._fail("no analysis after the rollback", ", ".join(sorted(runs)))
        stable = {each.rollout.stable_hash for each in seen if each.rollout}
        if len(stable) != 1:
            self._fail("the stable version to stay the same", f"pod template hashes {sorted(stable)}")

    def assert_health_of_release(self) -> None:
        """The last answer about health was the release's own, though the Service had another version before."""
        answers = {
            measured.finished_at: measured.value or ""
            for seen in self.environment.snapshots
            for run in seen.analyses
            for metric in run.results
            if metric.name == "health-watch"
            for measured in metric.measurements
        }
        last = answers[max(answers)] if answers else "none"
        if f"{self.image.version} is healthy" not in last:
            self._fail(f"the last answer about health from {self.image.version}", last)

    def assert_canary_service_stable(self) -> None:
        """Its pods changed as often as a release and its end need, and not over and over (decision 0032)."""
        changes = self._changes_of_canary_service() - self._changes_before
        if changes > _MOST_CHANGES:
            self._fail(f"at most {_MOST_CHANGES} changes of the pods behind the canary Service", str(changes))

    def assert_guard_never_restarted(self) -> None:
        """Its container has run since its pod was made."""
        pods = self.environment.kubernetes.pods("argocd", "app.kubernetes.io/name=delivery-guard")
        restarts = [
            each["restartCount"] for pod in pods for each in pod["status"].get("containerStatuses") or []
        ]
        if restarts != [0]:
            self._fail("a guard that was never restarted", f"restarts {restarts}")

    # --- who had it; each ends the load

    def assert_users_left(self, *, within: timedelta) -> None:
        """So soon after the abort no user was answered by the release any more, whatever its weight."""
        ending = timeline.ending(self.environment.snapshots, self.pushed_at)
        if ending is None or ending.kind != "abort":
            self._fail("an abort", str(ending))
        last = max((each.at for each in self.record.requests if self._is_by_release(each)), default=ending.at)
        took = last - ending.at
        self.environment.log_finding(f"the release's last answer came {max(took, 0):.1f} s after the abort")
        if took > within.total_seconds():
            self._fail(
                f"no answer by {version_of(self.image)} {within.total_seconds():.0f} s after the abort",
                f"one {took:.1f} s after it",
            )

    def assert_weight_back_at_zero(self, *, within: timedelta) -> None:
        """Counts from the first failed answer that a user got."""
        took = self.environment.result().seconds_from_first_failure_to_zero
        if took is None:
            self._fail("a failed answer and then the weight 0", "no failed answer, or no weight 0 after it")
        if took > within.total_seconds():
            self._fail(
                f"the weight 0 within {within.total_seconds():.0f} s of the first failed answer",
                f"{took:.1f} s",
            )
        self.environment.log(f"the weight was 0 again {took:.1f} s after the first failed answer")

    def assert_shares(self, weights: Sequence[int], *, within_points: float, of_at_least: int) -> None:
        """In each step the new version answered its weight's share of all requests."""
        windows = timeline.windows(self.environment.snapshots, self.pushed_at)
        steps = [window for window in windows if window.weight]
        if [window.weight for window in steps] != list(weights):
            self._fail(f"the steps {list(weights)}", str([window.weight for window in steps]))
        for window, requests, share in timeline.shares(self.record, steps, self.image.version):
            self.environment.log_finding(f"at {window.weight} %: {share:.2f} % of {requests} requests")
            if requests < of_at_least:
                self._fail(f"{of_at_least} requests at {window.weight} %", str(requests))
            if abs(share - window.weight) > within_points:
                self._fail(
                    f"{window.weight} ± {within_points} % of the requests at the canary",
                    f"{share:.2f} % of {requests}",
                )

    def assert_only_beta_had_it(self, window: tuple[float, float], *, of_at_least: int) -> None:
        """In that time each request of the group beta was answered by the release, and no other was."""
        inside = self.record.between(*window)
        beta = inside.where(lambda request: request.beta)
        wrong = [request for request in inside.requests if request.beta != self._is_by_release(request)]
        if len(beta) < of_at_least:
            self._fail(f"{of_at_least} requests of the group beta", str(len(beta)))
        if wrong:
            kinds = Counter((request.beta, request.version) for request in wrong)
            listed = "; ".join(
                f"{count} of {'beta' if is_beta else 'everyone else'} by {version}"
                for (is_beta, version), count in kinds.items()
            )
            self._fail(f"{self.image.version} for the group beta and nobody else", listed)
        self.environment.log_finding(
            f"{len(beta)} of {len(inside)} requests were of the group beta: the release answered all of them"
            " and no other"
        )

    def assert_failures_only_of_beta(self) -> None:
        """No request failed but those of the group beta."""
        others = self.record.where(lambda request: request.failed and not request.beta)
        if len(others):
            self._fail("failed requests of the group beta alone", f"{len(others)} of everyone else")

    def assert_failures_only_of(self, image: Image) -> None:
        """No request failed but those that this image answered."""
        others = self.record.where(lambda request: request.failed and request.version != image.version)
        if len(others):
            kinds = "; ".join(f"{count} times {kind}" for kind, count in others.failures_by_kind().items())
            self._fail(f"failed requests of {version_of(image)} alone", kinds)

    # --- how

    def _is_by_release(self, request: Request) -> bool:
        return request.version == self.image.version

    def _changes_of_canary_service(self) -> int:
        return self.environment.kubernetes.changes(self.environment.namespace, "crm-canary")


def version_of(image: Image) -> str:
    return f"version {image.version}"
