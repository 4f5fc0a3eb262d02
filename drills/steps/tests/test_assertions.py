"""What must have been so fails when it was not."""

from __future__ import annotations

import pytest

from drills.errors import DrillFailed, NotReady
from drills.fixtures.images import good
from drills.load.results import BETA, Request
from drills.observe import timeline
from drills.report.result import ScenarioResult
from drills.steps.duration import seconds
from drills.steps.environment import Environment
from drills.steps.release import ReleaseAttempt
from drills.tests.cluster import ENOUGH, Load, MadeUp, image_of, users_send


def test_users_stay_for_some_more_requests_and_leave_once(release: ReleaseAttempt) -> None:
    load = release.environment.load
    release.end_load(after=200, of_at_least=1_000)

    assert isinstance(load, Load)
    assert load.ended
    assert load.sent() >= 1_200

    sent = load.sent()
    release.end_load(after=200, of_at_least=1_000)
    assert load.sent() == sent + 50  # what this question adds


def test_other_weights_fail(release: ReleaseAttempt, cluster: MadeUp) -> None:
    cluster.weight = 50
    release.wait_for_weight(50, within=ENOUGH)

    with pytest.raises(DrillFailed, match=r"weights \[5, 20\]; found \[50\]"):
        release.assert_weights(5, 20)
    with pytest.raises(DrillFailed, match=r"weights \[20\]; found \[50\]"):
        release.assert_weights(20)
    with pytest.raises(DrillFailed, match="never gets more than 20 %; found the weights"):
        release.assert_weight_at_most(20)
    with pytest.raises(DrillFailed, match=r"the steps \[5\]; found \[50\]"):
        release.assert_shares((5,), within_points=1.5, of_at_least=1)


def test_steps_after_a_rollback_fail(release: ReleaseAttempt, cluster: MadeUp) -> None:
    cluster.aborts()
    release.roll_back()
    cluster.starts(image_of("1.1"))
    cluster.weight = 5
    release.environment.wait_until(lambda seen: seen.canary_weight == 5, ENOUGH, "5 %")

    with pytest.raises(DrillFailed, match=r"no weight for a canary after the rollback; found \[5\]"):
        release.assert_no_new_steps()


def test_a_canary_service_that_changes_over_and_over_fails(release: ReleaseAttempt, cluster: MadeUp) -> None:
    cluster.changed += 100
    release.assert_canary_service_stable()
    cluster.changed += 1

    with pytest.raises(
        DrillFailed, match="at most 100 changes of the pods behind the canary Service; found 101"
    ):
        release.assert_canary_service_stable()


def test_an_analysis_after_a_rollback_fails(release: ReleaseAttempt, cluster: MadeUp) -> None:
    cluster.aborts()
    release.roll_back()
    release.wait_for_rollout("Healthy", within=ENOUGH)
    cluster.runs = [{"metadata": {"name": "crm-2"}, "status": {"phase": "Running"}}]
    release.environment.wait_until(lambda seen: bool(seen.analyses), ENOUGH, "an analysis")

    with pytest.raises(DrillFailed, match="no analysis after the rollback; found crm-2"):
        release.assert_no_new_steps()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_health_of_the_version_before_fails(release: ReleaseAttempt, cluster: MadeUp, version: str) -> None:
    with pytest.raises(DrillFailed, match=r"the last answer about health from 1\.1; found none"):
        release.assert_health_of_release()
    answers = [
        {
            "phase": "Successful",
            "finishedAt": f"2026-11-24T21:58:0{number}Z",
            "value": f'{{"verdict":"fine","says":"{each} is healthy"}}',
        }
        for number, each in enumerate(["1.0", version])
    ]
    results = [{"name": "health-watch", "measurements": answers}]
    cluster.runs = [{"metadata": {"name": "crm-2"}, "status": {"phase": "Running", "metricResults": results}}]
    release.environment.wait_until(lambda seen: bool(seen.analyses), ENOUGH, "an analysis")

    if version == "1.1":
        release.assert_health_of_release()
    else:
        with pytest.raises(
            DrillFailed, match=r'from 1\.1; found {"verdict":"fine","says":"1\.0 is healthy"}'
        ):
            release.assert_health_of_release()


def request(code: int = 200, version: str = "1.0", at: float = 0.0) -> Request:
    return Request(at=at, latency=0.1, code=code, version=version)


def test_half_a_percent_is_judged_over_a_whole_release(release: ReleaseAttempt) -> None:
    load = release.environment.load
    assert load

    with pytest.raises(DrillFailed, match="at least 4000 requests; found 0"):
        release.assert_error_rate_below(0.005)

    assert load.ended
    assert load.sent() >= 4_200


def test_failed_requests_fail(release: ReleaseAttempt) -> None:
    users_send(release, [request(), request(code=500)])

    release.assert_error_rate_below(0.5, of_at_least=0, after=0)
    with pytest.raises(DrillFailed, match=r"1 of 2 failed: 1 times GET 500 no answer \(version 1\.0\)"):
        release.assert_no_failed_requests(of_at_least=2, after=0)
    with pytest.raises(DrillFailed, match=r"at most 10\.0% of the requests to fail"):
        release.assert_error_rate_below(0.1, of_at_least=0, after=0)
    with pytest.raises(DrillFailed, match="at least 3 requests; found 2"):
        release.assert_no_failed_requests(of_at_least=3, after=0)


def test_a_weight_that_stays_after_a_failure_fails(
    release: ReleaseAttempt, cluster: MadeUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.weight = 5
    at = release.environment.wait_until(lambda seen: seen.canary_weight == 5, ENOUGH, "5 %").at
    users_send(release, [request(code=500, at=at)])
    with pytest.raises(DrillFailed, match="no weight 0 after it"):
        release.assert_weight_back_at_zero(within=ENOUGH)

    cluster.weight = 0
    release.environment.wait_until(lambda seen: seen.canary_weight == 0, ENOUGH, "0 %")
    release.assert_weight_back_at_zero(within=ENOUGH)
    monkeypatch.setattr(ScenarioResult, "seconds_from_first_failure_to_zero", 12.1)
    release.assert_weight_back_at_zero(within=seconds(12.2))
    with pytest.raises(
        DrillFailed, match=r"the weight 0 within 12 s of the first failed answer; found 12\.1 s"
    ):
        release.assert_weight_back_at_zero(within=seconds(12))


@pytest.mark.parametrize(
    ("versions", "astray"), [("1.1 1.0", ""), ("1.0 1.0", "1 of beta by 1.0"), ("1.1 1.1", "1 of every")]
)
def test_beta_and_nobody_else_has_it(release: ReleaseAttempt, versions: str, astray: str) -> None:
    beta, other = versions.split()
    users_send(
        release,
        [
            Request(10.0, 0.1, 200, beta, url="http://router/api/v1/deals/?group=beta"),
            Request(10.5, 0.1, 200, other, url="http://router/api/v1/deals/"),
            Request(12.0, 0.1, 200, "1.1", url="http://router/api/v1/deals/"),
        ],
    )

    if not astray:
        release.assert_only_beta_had_it((9.0, 11.0), of_at_least=1)
        (found,) = release.environment.result().findings
        assert (
            found == "1 of 2 requests were of the group beta: the release answered all of them and no other"
        )
        return
    with pytest.raises(DrillFailed, match=astray):
        release.assert_only_beta_had_it((9.0, 11.0), of_at_least=1)


def test_a_failure_that_beta_alone_may_feel(release: ReleaseAttempt) -> None:
    beta = Request(1.0, 0.1, 500, "1.1", url=f"http://x{BETA}")
    users_send(release, [beta, request()])
    release.assert_failures_only_of_beta()

    users_send(release, [beta, request(code=500)])
    with pytest.raises(DrillFailed, match="found 1 of everyone else"):
        release.assert_failures_only_of_beta()


def test_a_failure_that_one_version_alone_may_have(release: ReleaseAttempt) -> None:
    users_send(release, [request(code=500), request(version="1.1")])
    release.assert_failures_only_of(image_of("1.0"))

    users_send(release, [request(code=500), request(code=502, version="1.1")])
    with pytest.raises(
        DrillFailed,
        match=r"failed requests of version 1\.0 alone; found 1 times GET 502 no answer \(version 1\.1\)",
    ):
        release.assert_failures_only_of(image_of("1.0"))


def test_a_moment_with_too_few_or_too_many_replicas_is_seen(release: ReleaseAttempt, cluster: MadeUp) -> None:
    def seen_with(replicas: int) -> None:
        cluster.replicas = replicas
        release.environment.wait_until(
            lambda seen: bool(seen.rollout and seen.rollout.replicas == replicas), ENOUGH, "so many replicas"
        )

    seen_with(4)
    release.environment.log_action("push", kind="push")
    seen_with(6)
    release.assert_replicas(at_least=4)
    release.assert_replicas(at_most=6)
    with pytest.raises(DrillFailed, match=r"at most 5 replicas; found \[4, 6\]"):
        release.assert_replicas(at_most=5)
    seen_with(1)
    seen_with(4)
    with pytest.raises(DrillFailed, match=r"at least 4 replicas; found \[1, 4, 6\]"):
        release.assert_replicas(at_least=4)


def test_shares_are_those_of_each_steps_requests(
    release: ReleaseAttempt, cluster: MadeUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.weight = 50
    release.environment.wait_until(lambda seen: seen.canary_weight == 50, ENOUGH, "50 %")
    cluster.weight = 0
    release.environment.wait_until(lambda seen: seen.canary_weight == 0, ENOUGH, "0 %")
    (held,) = (each for each in timeline.windows(release.environment.watcher.snapshots) if each.weight)
    monkeypatch.setattr("drills.observe.timeline.shares.__kwdefaults__", {"trim": 0.0})
    middle = (held.start + held.end) / 2
    users_send(release, [request(at=middle), request(at=middle, version="1.1")])

    release.assert_shares((50,), within_points=1.5, of_at_least=2)
    assert release.environment.result().findings == ["at 50 %: 50.00 % of 2 requests"]
    with pytest.raises(DrillFailed, match="3 requests at 50 %; found 2"):
        release.assert_shares((50,), within_points=1.5, of_at_least=3)
    users_send(release, [request(at=middle)])
    with pytest.raises(DrillFailed, match=r"50 ± 1\.5 % of the requests at the canary; found 33\.33 % of 3"):
        release.assert_shares((50,), within_points=1.5, of_at_least=1)


def test_requests_are_counted_only_under_load(production: Environment) -> None:
    release = production.serving("1.0").release(good("1.1"))

    with pytest.raises(NotReady, match=r"begins with under\(traffic"):
        release.assert_no_failed_requests(of_at_least=1, after=0)


def test_failures_are_counted_exactly(release: ReleaseAttempt) -> None:
    users_send(release, [request(code=500), request()])

    release.assert_failed_requests(exactly=1)
    with pytest.raises(DrillFailed, match="Expected exactly 2 failed requests; found 1 of 2 failed"):
        release.assert_failed_requests(exactly=2)
