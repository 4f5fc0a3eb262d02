"""What `delivery status` makes of Git and of the cluster's objects."""

import io
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from delivery.cli.main import main
from delivery.cli.status import environment_status
from delivery.cli.status_model import AnalysisVerdict, EnvironmentStatus, GitStatus, VersionStatus
from delivery.cli.status_table import table
from delivery.gitops import freeze, quarantine
from delivery.gitops.release import Release, ReleasedImage
from delivery.kubernetes.analysis import AnalysisRun
from delivery.kubernetes.application import Application, application_set_error
from delivery.kubernetes.client import EnvironmentObjects
from delivery.kubernetes.objects import Object
from delivery.kubernetes.rollout import ReplicaSet, RolloutStatus
from delivery.tests.hosts import Remote
from delivery.tests.kubernetes import (
    CANARY,
    STABLE,
    Server,
    analysis_run,
    application,
    replica_set,
    rollout,
)

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
REVISION = "1" * 40
IN_GIT = GitStatus("c" * 40, Release(REVISION, ReleasedImage("localhost:30500/crm", NEW, "1.1"), "canary"))
REPLICA_SETS = [replica_set(STABLE, "1.0", OLD, 4), replica_set(CANARY, "1.1", NEW, 1)]


def seen(**changes: Any) -> EnvironmentStatus:
    usual: dict[str, Any] = {
        "rollout": rollout(),
        "replica_sets": REPLICA_SETS,
        "application": application(REVISION, NEW),
    }
    return environment_status("dev", IN_GIT, objects(**(usual | changes)))


def objects(
    rollout: Object | None = None,
    replica_sets: Iterable[Object] = (),
    analysis_runs: Iterable[Object] = (),
    application: Object | None = None,
    application_set: Object | None = None,
) -> EnvironmentObjects:
    return EnvironmentObjects(
        rollout=RolloutStatus.parse(rollout) if rollout else None,
        replica_sets=tuple(map(ReplicaSet.parse, replica_sets)),
        analysis_runs=tuple(map(AnalysisRun.parse, analysis_runs)),
        application=Application.parse(application) if application else None,
        application_set_error=application_set_error(application_set or {}),
    )


def shown(*environments: EnvironmentStatus) -> str:
    printed = io.StringIO()
    Console(width=200, file=printed).print(table(environments))
    return printed.getvalue()


class TestRollout:
    def test_in_the_middle_has_a_stable_and_a_canary(self) -> None:
        cluster = seen().cluster
        assert cluster
        assert cluster.stable == VersionStatus("1.0", OLD, STABLE, ready=4, weight=80)
        assert cluster.canary == VersionStatus("1.1", NEW, CANARY, ready=1, weight=20)
        assert (cluster.phase, cluster.step, cluster.aborted) == ("Progressing", "2/4", False)

    def test_at_rest_has_no_canary_and_all_the_traffic(self) -> None:
        cluster = seen(rollout=rollout(stableRS=CANARY, phase="Healthy", canary={})).cluster
        assert cluster
        assert cluster.canary is None
        assert cluster.stable == VersionStatus("1.1", NEW, CANARY, ready=1, weight=100)
        assert cluster.step is None

    def test_that_was_aborted_says_so(self) -> None:
        aborted = seen(rollout=rollout(abort=True, phase="Degraded", message="error-rate failed"))
        assert aborted.cluster
        assert aborted.cluster.aborted
        assert "Aborted" in shown(aborted)
        assert "error-rate failed" in shown(aborted)

    def test_that_is_missing_is_nothing(self) -> None:
        assert seen(rollout=None).cluster is None

    def test_before_its_first_status_is_nothing_known(self) -> None:
        new = rollout()
        del new["status"]
        cluster = seen(rollout=new).cluster
        assert cluster
        assert (cluster.phase, cluster.stable, cluster.canary) == (None, None, None)
        assert "unknown" not in shown(seen(rollout=new))

    @pytest.mark.parametrize(("known", "version"), [({}, OLD[:19]), ({OLD: "1.0"}, "1.0")])
    def test_without_a_version_label_goes_by_what_git_calls_the_digest(
        self, known: dict[str, str], version: str
    ) -> None:
        plain = replica_set(STABLE, "", OLD, 4)
        cluster = environment_status(
            "dev", IN_GIT, objects(rollout=rollout(), replica_sets=[plain]), known
        ).cluster
        assert cluster
        assert cluster.stable
        assert cluster.stable.version == version


class TestVerdicts:
    def verdicts(self, *runs: Object) -> list[AnalysisVerdict]:
        cluster = seen(analysis_runs=list(runs)).cluster
        assert cluster
        return cluster.verdicts

    def test_are_the_newest_measurement_of_each_question(self) -> None:
        assert self.verdicts(
            analysis_run("latency", "Successful", "02:00", value="[-4.7]"),
            analysis_run("error-rate", "Running", "03:00", value="[0.2]", message="undecided"),
            analysis_run("error-rate", "Successful", "01:00", value="[-4.6]"),
        ) == [
            AnalysisVerdict("error-rate", "Running", "[0.2]", "undecided"),
            AnalysisVerdict("latency", "Successful", "[-4.7]", None),
        ]

    def test_that_failed_are_not_hidden_by_a_later_one(self) -> None:
        (verdict,) = self.verdicts(
            analysis_run("error-rate", "Failed", "01:00", value="[5.1]"),
            analysis_run("error-rate", "Successful", "02:00", value="[-4.6]"),
        )
        assert (verdict.phase, verdict.value) == ("Failed", "[5.1]")

    def test_of_an_earlier_canary_do_not_count(self) -> None:
        assert self.verdicts(analysis_run("error-rate", "Failed", "01:00", "another", value="[9]")) == []

    def test_without_a_measurement_are_pending(self) -> None:
        assert self.verdicts(analysis_run("health", "Pending", "01:00")) == [
            AnalysisVerdict("health", "Pending", None, None)
        ]


class TestArgoCD:
    def test_that_has_the_release_is_not_behind(self) -> None:
        argocd = seen().argocd
        assert argocd
        assert (argocd.sync, argocd.health, argocd.revision) == ("Synced", "Progressing", REVISION)
        assert not argocd.behind

    @pytest.mark.parametrize(("revision", "digest"), [("2" * 40, NEW), (REVISION, OLD)])
    def test_that_has_another_release_is_behind(self, revision: str, digest: str) -> None:
        behind = seen(application=application(revision, digest))
        assert behind.argocd
        assert behind.argocd.behind
        assert "has not seen Git's release yet" in shown(behind)

    @pytest.mark.parametrize("phase", ["Running", "Failed", "Error"])
    def test_says_how_a_sync_stands_that_has_not_succeeded(self, phase: str) -> None:
        operation = {"phase": phase, "message": "one or more objects failed to apply"}
        argocd = seen(application=application(REVISION, NEW, operationState=operation)).argocd
        assert argocd
        assert argocd.message == "one or more objects failed to apply"

    def test_says_why_it_cannot_compare(self) -> None:
        conditions = [{"type": "ComparisonError", "message": "values don't meet the specifications"}]
        argocd = seen(application=application(REVISION, NEW, conditions=conditions)).argocd
        assert argocd
        assert argocd.message == "values don't meet the specifications"

    def test_says_what_the_chart_refuses_and_not_how_helm_was_called(self) -> None:
        message = (
            "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code ="
            " Unknown desc = Manifest generation error (cached): failed to execute helm template command: failed to"
            " get command args to log: `helm template . --name-template crm --namespace crm-dev --values /tmp/a`"
            " failed exit status 1: Error: execution error at (crm/templates/validate.yaml:12:4): image.digest must be"
            " sha256:<64 hex>, not 'latest'.\n\nUse --debug flag to render out invalid YAML"
        )
        conditions = [{"type": "ComparisonError", "message": message}]
        argocd = seen(application=application(REVISION, NEW, conditions=conditions)).argocd
        assert argocd
        assert argocd.message == "image.digest must be sha256:<64 hex>, not 'latest'."

    def test_says_why_a_release_file_made_no_application(self) -> None:
        conditions = [
            {"type": "ParametersGenerated", "status": "False", "message": "no"},
            {"type": "ErrorOccurred", "status": "True", "message": "map has no entry for key image"},
        ]
        known = seen(application=None, application_set={"status": {"conditions": conditions}})
        assert known.argocd
        assert known.argocd.message == "map has no entry for key image"
        assert "map has no entry" in shown(known)

    def test_that_does_not_know_the_environment_is_nothing(self) -> None:
        assert seen(application=None).argocd is None


def test_the_table_shows_all_of_it() -> None:
    runs = [analysis_run("error-rate", "Running", "01:00", value="[0.2]")]
    text = shown(seen(analysis_runs=runs), EnvironmentStatus("production", GitStatus()))
    for part in (
        "1.1",
        "1.0 80 %",
        "1.1 20 %",
        "step 2/4",
        "error-rate  Running  ────●──── +0.2",
        "Synced",
        "production    no release yet",
    ):
        assert part in text


def test_the_table_is_as_wide_as_the_terminal() -> None:
    runs = [
        analysis_run(
            "worker-failures-watch", "Failed", "01:00", value="[5.1]", message="31 of 40 tasks failed"
        )
    ]
    printed = io.StringIO()
    Console(width=80, file=printed).print(table([seen(analysis_runs=runs)]))
    assert "worker-failures-watch  Failed  ────┼───● +5.1  31 of 40 tasks failed" in printed.getvalue()
    assert max(map(len, printed.getvalue().splitlines())) <= 80


@pytest.mark.parametrize(
    ("value", "meter"),
    [
        ("[-0.1]", "────●──── -0.1"),
        ("[-100]", "●───┼──── -100"),
        ("[9.12]", "────┼───● +9.1"),
    ],
)
def test_evidence_is_a_mark_between_fine_and_bad(value: str, meter: str) -> None:
    assert meter in shown(seen(analysis_runs=[analysis_run("latency", "Running", "01:00", value=value)]))


def test_other_measurements_are_shown_as_they_are() -> None:
    text = shown(seen(analysis_runs=[analysis_run("weight", "Running", "01:00", value="[1]")]))
    assert "[1]" in text
    assert "●" not in text


def test_a_question_asked_twice_over_is_shown_once_while_all_is_well() -> None:
    gate = analysis_run("error-rate", "Running", "01:00", value="[0.2]")
    watch = analysis_run("error-rate-watch", "Running", "01:00", value="[0.2]")
    assert "error-rate-watch" not in shown(seen(analysis_runs=[gate, watch]))
    assert "error-rate-watch" in shown(seen(analysis_runs=[watch]))
    failed = analysis_run("error-rate-watch", "Failed", "01:00", value="[4.7]")
    assert "error-rate-watch  Failed" in shown(seen(analysis_runs=[gate, failed]))


class TestCommand:
    @pytest.fixture
    def branch(self, remote: Remote) -> Remote:
        assert main(["init"]) == 0
        assert IN_GIT.release
        remote.commit("environments", {"dev/release.yaml": IN_GIT.release.to_yaml()})
        return remote

    @pytest.fixture
    def kubeconfig(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        path = tmp_path / "kubeconfig"
        monkeypatch.setenv("KUBECONFIG", str(path))
        return path

    @pytest.mark.usefixtures("branch")
    def test_without_a_cluster_shows_git_and_says_why(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["status"]) == 1
        printed = capsys.readouterr()
        assert "no release yet" in printed.out
        assert "1.1" in printed.out
        assert "What runs is not known. No cluster: KUBECONFIG" in printed.err

    def test_as_json_has_what_git_and_the_cluster_say(
        self,
        branch: Remote,
        capsys: pytest.CaptureFixture[str],
        kubeconfig: Path,
    ) -> None:
        with serving(Server(_paths()), kubeconfig):
            capsys.readouterr()
            assert main(["status", "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["unknown"] is None
        dev, staging, production = answer["environments"]
        assert dev["git"]["release"]["image"]["version"] == "1.1"
        assert dev["git"]["commit"] == branch.tip("environments")
        assert (dev["cluster"]["canary"]["version"], dev["cluster"]["canary"]["weight"]) == ("1.1", 20)
        assert dev["cluster"]["verdicts"] == [asdict(AnalysisVerdict("error-rate", "Running", "[0.2]", None))]
        assert dev["argocd"]["sync"] == "Synced"
        assert (staging["cluster"], production["argocd"]) == (None, None)

    def test_with_a_file_that_cannot_be_read_shows_the_others(
        self, branch: Remote, capsys: pytest.CaptureFixture[str]
    ) -> None:
        branch.commit("environments", {"staging/release.yaml": "{", "qa/release.yaml": "{}"})
        capsys.readouterr()
        assert main(["status", "--json"]) == 1
        by_name = {each["name"]: each["git"] for each in json.loads(capsys.readouterr().out)["environments"]}
        assert list(by_name) == ["dev", "staging", "production", "qa"]
        assert "staging/release.yaml on the branch environments is not YAML" in by_name["staging"]["problem"]
        assert "has no field revision" in by_name["qa"]["problem"]
        assert by_name["dev"]["problem"] is None
        assert main(["status"]) == 1
        assert "is not YAML" in capsys.readouterr().out.replace("\n", " ").replace("│", "")

    def test_shows_what_may_not_be_released(
        self,
        branch: Remote,
        capsys: pytest.CaptureFixture[str],
        kubeconfig: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("COLUMNS", "200")
        entry = quarantine.QuarantinedImage(OLD, "1.0", "staging", "2026-11-24T03:00:00Z", "was slow")
        once = freeze.Once(datetime(2020, 1, 1, tzinfo=UTC), datetime(2199, 1, 1, tzinfo=UTC))
        window = freeze.Window(("production",), "an audit", once)
        branch.commit(
            "environments",
            {quarantine.FILE: quarantine.text_with([], entry), freeze.FILE: str(window)},
        )
        capsys.readouterr()
        with serving(Server(_paths()), kubeconfig):
            assert main(["status"]) == 0
            text = capsys.readouterr().out
            assert main(["status", "--json"]) == 0
        assert "Frozen: production is frozen until 2199-01-01 00:00 UTC (an audit)" in text
        assert "Quarantined: 1.0  sha256:aaaaaaaa  2026-11-24T03:00  staging  was slow" in text
        answer = json.loads(capsys.readouterr().out)
        assert answer["quarantined"][0]["digest"] == OLD
        assert answer["frozen"] == [
            {"environment": "production", "until": "2199-01-01T00:00:00+00:00", "reason": "an audit"}
        ]

    def test_says_which_rules_cannot_be_read(
        self, branch: Remote, capsys: pytest.CaptureFixture[str], kubeconfig: Path
    ) -> None:
        branch.commit("environments", {quarantine.FILE: "{", freeze.FILE: "{"})
        with serving(Server(_paths()), kubeconfig):
            assert main(["status"]) == 1
        text = capsys.readouterr().out
        assert "quarantine.yaml on the branch" in text
        assert "freeze.yaml on the branch" in text

    @pytest.mark.usefixtures("branch")
    @pytest.mark.parametrize(
        ("failing", "sentence"),
        [
            (403, "The cluster refuses access to rollouts: 403 Forbidden."),
            (500, "The cluster refuses access to rollouts: 500"),
        ],
    )
    def test_says_what_the_cluster_refuses(
        self,
        capsys: pytest.CaptureFixture[str],
        kubeconfig: Path,
        failing: int,
        sentence: str,
    ) -> None:
        with serving(Server({}, failing), kubeconfig):
            assert main(["status"]) == 1
        assert sentence in capsys.readouterr().err

    @pytest.mark.usefixtures("branch")
    def test_says_that_the_cluster_does_not_answer(
        self,
        capsys: pytest.CaptureFixture[str],
        kubeconfig: Path,
    ) -> None:
        with serving(Server({}), kubeconfig):
            pass
        assert main(["status"]) == 1
        assert "The cluster cannot be reached: " in capsys.readouterr().err


@contextmanager
def serving(server: Server, kubeconfig: Path) -> Iterator[None]:
    """Run a server and write where it is."""
    kubeconfig.write_text(server.kubeconfig())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _paths() -> dict[str, Object]:
    argo, apps = "/apis/argoproj.io/v1alpha1/namespaces", "/apis/apps/v1/namespaces"
    runs = [analysis_run("error-rate", "Running", "01:00", value="[0.2]")]
    return {
        f"{argo}/crm-dev/rollouts": {"items": [rollout()]},
        f"{apps}/crm-dev/replicasets": {"items": REPLICA_SETS},
        f"{argo}/crm-dev/analysisruns": {"items": runs},
        f"{argo}/argocd/applications/crm-dev": application(REVISION, NEW),
    }
