"""Stories wait for what they say, and fail with what was expected and what was found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.gitops.release import Release, ReleasedImage
from drills.errors import DrillFailed, NotReady
from drills.fixtures import images, local, settings
from drills.fixtures.images import Image, good
from drills.load.results import BETA, Record, Request
from drills.load.traffic import Traffic
from drills.observe import diagnosis, timeline
from drills.steps import story
from drills.steps.story import Environment, When, described, seconds
from drills.tests.cluster import REVISION, MadeUp
from drills.tests.drills import failed_analysis, seen

SHORT = seconds(0.3)
ENOUGH = seconds(5)


def image_of(version: str) -> Image:
    return Image(version, f"sha256:{version}", REVISION)


def release_of(image: Image) -> Release:
    return Release(image.revision, ReleasedImage("r", image.digest, image.version), "canary")


class Load:
    """A load generator that has sent what it was told."""

    rate = 100

    def __init__(self, requests: list[Request] | None = None, sent: int = 100) -> None:
        self.record = Record(requests or [])
        self._sent = sent

    def sent(self) -> int:
        self._sent += 50
        return self._sent

    def check(self) -> None: ...

    ended = False

    def stop(self) -> Record:
        self.ended = True
        return self.record


@pytest.fixture
def cluster() -> MadeUp:
    return MadeUp(image_of("1.0"))


@pytest.fixture
def delivered(monkeypatch: pytest.MonkeyPatch, cluster: MadeUp) -> list[str]:
    """Each command of `delivery` and kubectl; a release or a rollback reaches the made-up cluster at once."""
    said: list[str] = []

    def output(command: list[str], **_: object) -> str:
        words = " ".join(command)
        said.append(words)
        if "delivery release" in words:
            cluster.starts(image_of(words.split("sha256:")[1].split()[0]))
        if "delivery rollback" in words:
            cluster.wanted = cluster.before or cluster.stable
            cluster.ends()
        if "--full" in words:
            cluster.ends()
        return "done"

    monkeypatch.setattr(local, "output", output)
    return said


@pytest.fixture
def production(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cluster: MadeUp, delivered: list[str]
) -> Iterator[Environment]:
    monkeypatch.setattr(local, "REPORT", tmp_path)
    monkeypatch.setattr(story, "_FIRST_RELEASE", ENOUGH)
    monkeypatch.setattr(images, "image", lambda recipe: image_of(recipe.version))
    monkeypatch.setattr(settings, "another_main", lambda: REVISION)
    monkeypatch.setattr(settings, "is_as_main", lambda _: True)
    monkeypatch.setattr(Environment, "answering_version", lambda _: cluster.stable.version)
    monkeypatch.setattr(Environment, "release_in_git", lambda _: release_of(cluster.wanted))
    monkeypatch.setattr(Environment, "quarantined", lambda _, image: image.digest in cluster.quarantined)
    with Environment("production", cluster, drill="a-drill", title="A drill") as environment:  # type: ignore[arg-type]
        yield environment


@pytest.fixture
def when(production: Environment) -> When:
    """1.1 was released over 1.0, under load."""
    given = production.serving("1.0")
    production.load = Load()  # type: ignore[assignment]
    return given.released(good("1.1"))


def test_serving_promotes_what_is_on_its_way(
    production: Environment, cluster: MadeUp, delivered: list[str]
) -> None:
    production.serving("1.1")

    assert cluster.stable.version == "1.1"
    assert [words for words in delivered if "promote crm" in words] == [
        "kubectl argo rollouts promote crm --namespace crm-production --full"
    ]


def test_what_serves_has_the_settings_of_the_commit_that_git_names(
    production: Environment, cluster: MadeUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "_FIRST_RELEASE", SHORT)
    cluster.synced = "c0ffee-of-before"

    with pytest.raises(DrillFailed, match=r"Expected version 1\.0 stable in production"):
        production.serving("1.0")


def test_what_git_names_already_is_not_released_again(
    production: Environment, cluster: MadeUp, delivered: list[str]
) -> None:
    production.serving("1.0")

    assert not delivered

    production.strategy = cluster.strategy = "blue-green"  # and Git says canary
    production.serving("1.0")

    assert "delivery release" in delivered[0]


def test_users_stay_for_some_more_requests_and_leave_once(when: When) -> None:
    load = when.environment.load
    when.load_ends(after=200, of_at_least=1_000)

    assert isinstance(load, Load)
    assert load.ended
    assert load.sent() >= 1_200

    sent = load.sent()
    when.load_ends(after=200, of_at_least=1_000)
    assert load.sent() == sent + 50  # what this question adds


def test_load_begins_before_the_release(production: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def start(_: Traffic, environment: str, folder: Path, url: str) -> Load:
        started.append(f"{environment} {url}")
        return Load()

    monkeypatch.setattr(Traffic, "start", start)
    told: list[str] = []
    monkeypatch.setattr(production, "tell", told.append)

    production.serving("1.0").under(Traffic())

    assert started == ["production http://127.0.0.1:30080"]
    assert told[-1] == "users send 100 requests a second"


def test_a_promoted_release(when: When, cluster: MadeUp) -> None:
    when.first_canary_pod_is_ready(within=ENOUGH)
    for weight in (5, 100):
        cluster.weight = weight
        when.weight_is(weight, within=ENOUGH)
    cluster.ends()
    when.rollout_is("Healthy", within=ENOUGH)
    when.weights_seen_are(5, 100)
    when.load_goes_on(until_requests=400)

    result = when.environment.result()
    assert (result.verdict, result.stable, result.released) == ("promoted", "1.0", "1.1")


def test_an_aborted_release_is_taken_back(when: When, cluster: MadeUp, delivered: list[str]) -> None:
    cluster.weight = 5
    when.weight_is(5, within=ENOUGH)
    cluster.aborts()
    when.rollout_is("Degraded", within=ENOUGH)
    when.weight_was_never_above(5)
    when.rolled_back_by_hand()
    when.rollout_is("Healthy", within=ENOUGH)
    when.no_new_steps_were_taken()

    assert any("delivery rollback production" in words for words in delivered)
    assert when.environment.result().verdict == "rolled back"


def test_the_guard_heals(when: When, cluster: MadeUp, delivered: list[str]) -> None:
    cluster.aborts()
    when.rollout_is("Degraded", within=ENOUGH)
    cluster.quarantined.add("sha256:1.1")
    cluster.wanted = cluster.stable
    cluster.ends()
    when.healed(within=ENOUGH, blamed=True)
    when.rollout_is("Healthy", within=ENOUGH)
    when.no_new_steps_were_taken()

    took = when.environment.result().seconds_from_abort_to_rollback
    assert took is not None
    assert took < 5


def test_what_everybody_has_is_taken_back(
    production: Environment, cluster: MadeUp, delivered: list[str]
) -> None:
    given = production.serving("1.1")
    cluster.before = image_of("1.0")

    when = given.taken_back()

    assert "delivery rollback production" in delivered[-1]
    assert when.image == image_of("1.0")
    when.rollout_is("Healthy", within=ENOUGH)


def test_git_that_nobody_heals_fails(when: When, cluster: MadeUp) -> None:
    cluster.aborts()
    when.rollout_is("Degraded", within=ENOUGH)

    with pytest.raises(DrillFailed, match=r"Expected 1\.0 in production/release\.yaml, by the guard"):
        when.healed(within=SHORT, blamed=True)


def test_blame_is_part_of_healing(when: When, cluster: MadeUp) -> None:
    cluster.wanted = cluster.stable

    with pytest.raises(DrillFailed, match=r"Expected version 1\.1 in quarantine"):
        when.healed(within=ENOUGH, blamed=True)


def test_a_quarantined_image_is_unquarantined_before_it_is_released_again(
    production: Environment, cluster: MadeUp, delivered: list[str]
) -> None:
    given = production.serving("1.0")
    cluster.quarantined.add("sha256:1.1")

    given.released(good("1.1"))

    assert "delivery unquarantine sha256:1.1 --reason" in delivered[-2]


def test_a_person_approves(when: When, cluster: MadeUp, delivered: list[str]) -> None:
    cluster.paused, cluster.step = True, 1
    when.waits_for_approval(within=ENOUGH)
    when.approved()

    assert delivered[-1] == "kubectl argo rollouts promote crm --namespace crm-production"


def test_pods_are_deleted(when: When, cluster: MadeUp) -> None:
    when.canary_pod_deleted()
    when.stable_pod_deleted()
    when.prometheus_deleted()

    assert cluster.deleted == [
        "crm-production: crm-1.1-1",
        "crm-production: crm-1.0-1",
        "monitoring: monitoring/app.kubernetes.io/name=prometheus",
    ]


def test_waiting_in_vain_says_what_was_expected_and_found(
    when: When, cluster: MadeUp, tmp_path: Path
) -> None:
    cluster.weight = 5
    with pytest.raises(DrillFailed) as failure:
        when.rollout_is("Degraded", within=SHORT)

    assert str(failure.value) == (
        "Expected the Rollout to be Degraded with version 1.1 within 0 s; found the Rollout Progressing, the canary's "
        f"weight 5, 2 of 2 pods ready, Argo CD Synced/Progressing. Look at {tmp_path / 'a-drill'} or at: "
        "kubectl argo rollouts get rollout crm -n crm-production"
    )


def test_healthy_from_before_the_release_does_not_count(when: When, cluster: MadeUp) -> None:
    cluster.wanted = cluster.newest = cluster.stable
    cluster.phase = "Healthy"

    with pytest.raises(DrillFailed, match=r"Healthy with version 1\.1"):
        when.rollout_is("Healthy", within=SHORT)


def test_other_weights_fail(when: When, cluster: MadeUp) -> None:
    cluster.weight = 50
    when.weight_is(50, within=ENOUGH)

    with pytest.raises(DrillFailed, match=r"weights \[5, 20\]; found \[50\]"):
        when.weights_seen_are(5, 20)
    with pytest.raises(DrillFailed, match="never gets more than 20 %; found the weights"):
        when.weight_was_never_above(20)
    with pytest.raises(DrillFailed, match=r"the steps \[5\]; found \[50\]"):
        when.canary_shares_are((5,), within_points=1.5, of_at_least=1)


def test_steps_after_a_rollback_fail(when: When, cluster: MadeUp) -> None:
    cluster.aborts()
    when.rolled_back_by_hand()
    cluster.starts(image_of("1.1"))
    cluster.weight = 5
    when.environment.until(lambda seen: seen.canary_weight == 5, ENOUGH, "5 %")

    with pytest.raises(DrillFailed, match=r"no weight for a canary after the rollback; found \[5\]"):
        when.no_new_steps_were_taken()


def test_a_canary_service_that_changes_over_and_over_fails(when: When, cluster: MadeUp) -> None:
    cluster.changed += 100
    when.canary_service_was_left_alone()
    cluster.changed += 1

    with pytest.raises(
        DrillFailed, match="at most 100 changes of the pods behind the canary Service; found 101"
    ):
        when.canary_service_was_left_alone()


def test_an_analysis_after_a_rollback_fails(when: When, cluster: MadeUp) -> None:
    cluster.aborts()
    when.rolled_back_by_hand()
    when.rollout_is("Healthy", within=ENOUGH)
    cluster.runs = [{"metadata": {"name": "crm-2"}, "status": {"phase": "Running"}}]
    when.environment.until(lambda seen: bool(seen.analyses), ENOUGH, "an analysis")

    with pytest.raises(DrillFailed, match="no analysis after the rollback; found crm-2"):
        when.no_new_steps_were_taken()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_health_that_was_asked_of_the_version_before_fails(when: When, cluster: MadeUp, version: str) -> None:
    with pytest.raises(DrillFailed, match=r"the last answer about health from 1\.1; found none"):
        when.health_was_asked_of_it()
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
    when.environment.until(lambda seen: bool(seen.analyses), ENOUGH, "an analysis")

    if version == "1.1":
        when.health_was_asked_of_it()
    else:
        with pytest.raises(
            DrillFailed, match=r'from 1\.1; found {"verdict":"fine","says":"1\.0 is healthy"}'
        ):
            when.health_was_asked_of_it()


def request(code: int = 200, version: str = "1.0", at: float = 0.0) -> Request:
    return Request(at=at, latency=0.1, code=code, version=version)


def test_failed_requests_fail(when: When) -> None:
    when.environment.load = Load([request(), request(code=500)])  # type: ignore[assignment]

    when.failed_requests_are(below=0.5)
    with pytest.raises(DrillFailed, match=r"1 of 2 failed: 1 times GET 500 no answer \(version 1\.0\)"):
        when.no_request_failed(of_at_least=2)
    with pytest.raises(DrillFailed, match=r"at most 10\.0% of the requests to fail"):
        when.failed_requests_are(below=0.1)
    with pytest.raises(DrillFailed, match="at least 3 requests; found 2"):
        when.no_request_failed(of_at_least=3)


def test_a_weight_that_stays_after_a_failure_fails(when: When, cluster: MadeUp) -> None:
    cluster.weight = 5
    at = when.environment.until(lambda seen: seen.canary_weight == 5, ENOUGH, "5 %").at
    when.environment.load = Load([request(code=500, at=at)])  # type: ignore[assignment]
    with pytest.raises(DrillFailed, match="no weight 0 after it"):
        when.weight_was_back_at_zero(within=ENOUGH)

    cluster.weight = 0
    when.environment.until(lambda seen: seen.canary_weight == 0, ENOUGH, "0 %")
    when.weight_was_back_at_zero(within=ENOUGH)
    with pytest.raises(DrillFailed, match="the weight 0 within -1 s of the first failed answer"):
        when.weight_was_back_at_zero(within=seconds(-1))


@pytest.mark.parametrize(
    ("versions", "astray"), [("1.1 1.0", ""), ("1.0 1.0", "1 of beta by 1.0"), ("1.1 1.1", "1 of every")]
)
def test_beta_and_nobody_else_has_it(when: When, versions: str, astray: str) -> None:
    beta, other = versions.split()
    when.environment.load = Load(  # type: ignore[assignment]
        [
            Request(10.0, 0.1, 200, beta, url="http://router/api/v1/deals/?group=beta"),
            Request(10.5, 0.1, 200, other, url="http://router/api/v1/deals/"),
            Request(12.0, 0.1, 200, "1.1", url="http://router/api/v1/deals/"),
        ]
    )

    if not astray:
        when.only_beta_had_it((9.0, 11.0), of_at_least=1)
        (found,) = when.environment.result().findings
        assert found == "1 of 2 requests were beta's: all of them, and no other, had it"
        return
    with pytest.raises(DrillFailed, match=astray):
        when.only_beta_had_it((9.0, 11.0), of_at_least=1)


def test_a_failure_that_beta_alone_may_feel(when: When) -> None:
    beta = Request(1.0, 0.1, 500, "1.1", url=f"http://x{BETA}")
    when.environment.load = Load([beta, request()])  # type: ignore[assignment]
    when.only_beta_felt_it()

    when.environment.load = Load([beta, request(code=500)])  # type: ignore[assignment]
    with pytest.raises(DrillFailed, match="found 1 of everyone else"):
        when.only_beta_felt_it()


def test_a_rush_is_part_of_the_record_and_ends(
    when: When, cluster: MadeUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = Load([Request(2.0, 0.1, 503, "1.0")])
    monkeypatch.setattr(Traffic, "start", lambda *_: more)
    when.environment.load = Load([Request(1.0, 0.1, 200, "1.0")])  # type: ignore[assignment]

    with when.rush(Traffic(rate=60)):
        cluster.replicas = 1
        when.replicas_are(1, within=ENOUGH)

    with pytest.raises(DrillFailed, match="1 of 2 failed"):
        when.no_request_failed(of_at_least=2)


def test_a_moment_with_too_few_or_too_many_replicas_is_seen(when: When, cluster: MadeUp) -> None:
    def seen_with(replicas: int) -> None:
        cluster.replicas = replicas
        when.environment.until(
            lambda seen: bool(seen.rollout and seen.rollout.replicas == replicas), ENOUGH, "so many replicas"
        )

    seen_with(4)
    when.environment.done("push", "push")
    seen_with(6)
    when.replicas_were_never_below(4)
    when.replicas_were_never_above(6)
    with pytest.raises(DrillFailed, match=r"at most 5 replicas; found \[4, 6\]"):
        when.replicas_were_never_above(5)
    seen_with(1)
    seen_with(4)
    with pytest.raises(DrillFailed, match=r"at least 4 replicas; found \[1, 4, 6\]"):
        when.replicas_were_never_below(4)


def test_the_preview_answers_before_users_have_it(
    when: When, cluster: MadeUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"preview.production.localhost": "1.1", None: "1.0"}
    monkeypatch.setattr(Environment, "answering_version", lambda _, host=None: answers[host])

    when.previewed(within=ENOUGH)

    answers[None] = "1.1"
    with pytest.raises(DrillFailed, match=r"Expected 1\.0 to answer users"):
        when.previewed(within=ENOUGH)


def test_a_drills_settings_strategy_and_router_are_released_with_its_images(
    production: Environment, cluster: MadeUp, delivered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[dict[str, Any]] = []

    def with_settings(_: str, wanted: dict[str, Any], *, file: str) -> str:
        pushed.append(wanted)
        return REVISION

    monkeypatch.setattr(settings, "with_settings", with_settings)
    production.router, production.strategy = "nginx", "ab-test"
    cluster.strategy = "ab-test"
    production.settings = {"strategy": {"stepDuration": "9s"}}

    production.serving("1.1")

    released = next(words for words in delivered if "delivery release" in words)
    assert released.endswith(f"--revision {REVISION} --strategy ab-test")
    assert pushed == [{"strategy": {"stepDuration": "9s"}, "routing": {"provider": "nginx"}}]


def test_shares_are_those_of_each_steps_requests(
    when: When, cluster: MadeUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.weight = 50
    when.environment.until(lambda seen: seen.canary_weight == 50, ENOUGH, "50 %")
    cluster.weight = 0
    when.environment.until(lambda seen: seen.canary_weight == 0, ENOUGH, "0 %")
    (held,) = (each for each in timeline.windows(when.environment.watcher.snapshots) if each.weight)
    monkeypatch.setattr("drills.observe.timeline.shares.__kwdefaults__", {"trim": 0.0})
    middle = (held.start + held.end) / 2
    when.environment.load = Load([request(at=middle), request(at=middle, version="1.1")])  # type: ignore[assignment]

    when.canary_shares_are((50,), within_points=1.5, of_at_least=2)
    assert when.environment.result().findings == ["at 50 %: 50.00 % of 2 requests"]
    with pytest.raises(DrillFailed, match="3 requests at 50 %; found 2"):
        when.canary_shares_are((50,), within_points=1.5, of_at_least=3)
    when.environment.load = Load([request(at=middle)])  # type: ignore[assignment]
    with pytest.raises(DrillFailed, match=r"50 ± 1\.5 % of the requests at the canary; found 0\.00 % of 1"):
        when.canary_shares_are((50,), within_points=1.5, of_at_least=1)


def test_what_argo_cd_says(production: Environment, cluster: MadeUp) -> None:
    production.argocd_complains_no_more(within=ENOUGH)
    cluster.complaint = "dev/release.yaml is not YAML"
    production.argocd_complains(within=ENOUGH)
    production.argocd_refuses(because="not YAML", within=ENOUGH)
    with pytest.raises(DrillFailed, match="cannot be rendered because of 'router'"):
        production.argocd_refuses(because="router", within=SHORT)


def test_a_refusal_has_its_reason_and_pushes_nothing(
    production: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> str:
        raise NotReady("delivery: the registry has no image")

    monkeypatch.setattr(story, "_tip", lambda: "same")
    monkeypatch.setattr(Environment, "deliver", refuse)
    production.refuses("release", because="no image")
    with pytest.raises(DrillFailed, match="a refusal that says 'a digest'; found delivery: the registry"):
        production.refuses("release", because="a digest")

    monkeypatch.setattr(Environment, "deliver", lambda *_: "released")
    with pytest.raises(DrillFailed, match="delivery release to be refused; found released"):
        production.refuses("release", because="no image")


def test_a_failed_drill_leaves_a_diagnosis(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cluster: MadeUp, production: Environment
) -> None:
    def drill() -> None:
        with Environment("production", cluster, drill="other", title="Other") as other:  # type: ignore[arg-type]
            other.fail("this", "that")

    with pytest.raises(DrillFailed, match="Expected this; found that"):
        drill()

    written = {file.stem for file in (tmp_path / "other" / "diagnosis").iterdir()}
    assert {"rollout", "analysis-runs", "events", "log-web", "application"} <= written


def test_a_second_ctrl_c_leaves_no_load_behind(
    monkeypatch: pytest.MonkeyPatch, cluster: MadeUp, production: Environment
) -> None:
    """The first one ends the drill, the second one its diagnosis."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(diagnosis, "write", interrupted)
    load = Load()

    def drill() -> None:
        with Environment("production", cluster, drill="other", title="Other") as other:  # type: ignore[arg-type]
            other.load = load  # type: ignore[assignment]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drill()
    assert load.ended


def test_a_diagnosis_says_what_could_not_be_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise NotReady("kubectl gave no answer within 20 s.")

    monkeypatch.setattr(local, "output", refuse)

    diagnosis.write("production", tmp_path)

    assert "kubectl gave no answer" in (tmp_path / "rollout.txt").read_text(encoding="utf-8")


def test_requests_are_counted_only_under_load(production: Environment) -> None:
    when = production.serving("1.0").released(good("1.1"))

    with pytest.raises(NotReady, match=r"begins with under\(traffic"):
        when.no_request_failed(of_at_least=1)


def test_silence_is_described() -> None:
    assert described(None) == "nothing: the cluster did not answer"
    assert described(seen(0, analyses=(failed_analysis(),))).startswith(
        "the Rollout Healthy, the canary's weight 0"
    )


def test_the_same_image_arrives_with_its_settings(production: Environment, cluster: MadeUp) -> None:
    given = production.serving("1.0")
    production.load = Load()  # type: ignore[assignment]

    when = given.released_again("a-commit-that-argo-cd-has-not-synced")
    with pytest.raises(DrillFailed, match="Expected the Rollout to be Healthy"):
        when.rollout_is("Healthy", within=SHORT)
    when.rolled_back_by_hand()
    when.rollout_is("Healthy", within=ENOUGH)


def test_a_migration_that_fails_starts_no_pod(when: When, cluster: MadeUp) -> None:
    with pytest.raises(DrillFailed, match=r"Expected the migration of version 1\.1 to fail"):
        when.migration_fails(within=SHORT)
    cluster.migration_failed = "True"
    when.migration_fails(within=ENOUGH)

    with pytest.raises(DrillFailed, match=r"Expected no web pod of the release; found crm-1\.1"):
        when.no_pod_was_started()


def test_pods_of_another_version_are_waited_for(production: Environment, cluster: MadeUp) -> None:
    given = production.serving("1.0")
    given.alone(within=ENOUGH)
    cluster.starts(image_of("1.1"))
    with pytest.raises(DrillFailed, match="Expected no pod of another version"):
        given.alone(within=SHORT)


def test_a_promotion_releases_what_the_environment_before_has(
    production: Environment, cluster: MadeUp, delivered: list[str]
) -> None:
    given = production.serving("1.0")
    cluster.starts(image_of("1.1"))

    when = given.promoted_from("staging")

    assert delivered[-1].endswith("delivery promote staging production")
    assert when.image == image_of("1.1")
    with pytest.raises(DrillFailed, match=r"Expected version 1\.1 stable in production"):
        production.is_given(image_of("1.1"), within=SHORT)
    cluster.ends()
    production.is_given(image_of("1.1"), within=ENOUGH)


def test_argo_cd_is_content_with_what_git_wants(when: When, cluster: MadeUp) -> None:
    with pytest.raises(DrillFailed, match="Expected Argo CD Synced and Healthy"):
        when.argocd_is_content(within=SHORT)
    cluster.ends()
    when.argocd_is_content(within=ENOUGH)
    cluster.operation = "Failed"  # the guard has ended it, and nothing else is left to sync
    when.argocd_is_content(within=ENOUGH)
    cluster.operation = "Running"
    with pytest.raises(DrillFailed, match="Expected Argo CD Synced and Healthy"):
        when.argocd_is_content(within=SHORT)


def test_failures_are_counted_exactly(when: When) -> None:
    when.environment.load = Load([request(code=500), request()])  # type: ignore[assignment]

    when.failures_are(exactly=1)
    with pytest.raises(DrillFailed, match="Expected exactly 2 failed requests; found 1 of 2 failed"):
        when.failures_are(exactly=2)


def test_what_a_drill_stops_is_started_again_whatever_happens(when: When, delivered: list[str]) -> None:
    with pytest.raises(DrillFailed), when.prometheus_down(), when.argocd_down(), when.git_down():
        when.environment.fail("this", "that")

    said = [words for words in delivered if "replicas" in words]
    assert ["0" in words for words in said] == [True, True, True, False, False, False]
    when.rollouts_controller_deleted()
    when.guard_deleted()
    assert when.environment.kubernetes.deleted == [  # type: ignore[attr-defined]
        "argo-rollouts: argo-rollouts/app.kubernetes.io/name=argo-rollouts",
        "argocd: argocd/app.kubernetes.io/name=delivery-guard",
    ]


def test_argo_cd_looks_again_when_it_is_back_and_can(when: When, delivered: list[str]) -> None:
    with when.argocd_down():
        pass

    *_, back, rendering, forgotten, asked = delivered
    assert back.endswith("--replicas=1")
    assert rendering.startswith("kubectl rollout status deployment/argocd-repo-server ")
    annotate = "kubectl annotate applicationset crm-production --namespace=argocd "
    refresh = "argocd.argoproj.io/application-set-refresh"
    assert (forgotten, asked) == (f"{annotate}{refresh}-", f"{annotate}{refresh}=true")


def test_a_route_past_the_canary_is_gone_whatever_happens(
    production: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.serving("1.0")
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(local, "output", lambda command, *, stdin: said.append((command[1], stdin)))

    with pytest.raises(DrillFailed), production.canary_bypassed():
        production.fail("this", "that")

    assert [verb for verb, _ in said] == ["apply", "delete"]
    assert said[0][1] == said[1][1]
    made = yaml.safe_load(said[0][1])
    (route,) = made["spec"]["routes"]
    assert made["metadata"]["namespace"] == "crm-production"
    assert route["match"] == "Host(`api.production.localhost`)"
    assert [service["name"] for service in route["services"]] == ["crm-stable"]


def test_an_undo_is_seen_in_the_cluster_before_it_is_taken_back(
    when: When, cluster: MadeUp, delivered: list[str]
) -> None:
    with pytest.raises(DrillFailed, match="a Rollout that has not what Git says"):
        when.undone_by_hand(within=SHORT)
    cluster.undone = image_of("0.9")

    when.undone_by_hand(within=ENOUGH)

    assert delivered[-1] == "kubectl argo rollouts undo crm --namespace crm-production"


def test_pods_are_replaced_when_none_of_the_old_ones_is_left(when: When, cluster: MadeUp) -> None:
    cluster.ends()
    with pytest.raises(DrillFailed, match="1 new web pods instead of the old ones"):
        when.pods_replaced(within=SHORT)

    def restart(command: list[str], **_: object) -> str:
        assert "restart" in command
        cluster.generation += 1
        return ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "output", restart)
        when.pods_replaced(within=ENOUGH)


def test_evictions_are_asked_for_until_the_budget_allows_them(when: When, cluster: MadeUp) -> None:
    cluster.budget = [True, False, True]

    when.pods_evicted(within=ENOUGH)

    assert len(cluster.evicted) == 2
    cluster.budget, cluster.replaces = [True, False, True], False
    with pytest.raises(DrillFailed, match="the new ones to be ready"):
        when.pods_evicted(within=SHORT)
    cluster.budget, cluster.replaces = [True, True], True
    with pytest.raises(DrillFailed, match="the disruption budget to refuse two pods at once"):
        when.pods_evicted(within=ENOUGH)
