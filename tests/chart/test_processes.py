"""Worker, beat and the migration: the processes that no request reaches."""

import pytest

from tests.chart.rendering import Manifest, Values, render


def container(kind: str, name: str, values: Values | None = None) -> Manifest:
    manifests = render("production", "canary", values=values)
    (found,) = manifests.one(kind, name)["spec"]["template"]["spec"]["containers"]
    first: Manifest = found
    return first


@pytest.mark.parametrize("name", ["worker", "beat"])
def test_they_are_replaced_and_never_doubled(name: str) -> None:
    spec = render("production", "canary").one("Deployment", f"crm-{name}")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    assert container("Deployment", f"crm-{name}")["args"] == [name]


@pytest.mark.parametrize(
    ("name", "probe", "file"),
    [
        ("worker", "livenessProbe", "/tmp/worker-alive"),  # noqa: S108
        ("beat", "livenessProbe", "/tmp/beat-alive"),  # noqa: S108
    ],
)
def test_their_heartbeat_is_a_file(name: str, probe: str, file: str) -> None:
    command = container("Deployment", f"crm-{name}")[probe]["exec"]["command"]
    assert command == ["sh", "-c", f'test -n "$(find {file} -mmin -1)"']


def test_a_worker_is_ready_from_the_moment_it_takes_tasks() -> None:
    """The file is written once, so its age must not count."""
    command = container("Deployment", "crm-worker")["readinessProbe"]["exec"]["command"]
    assert command == ["test", "-e", "/tmp/worker-ready"]  # noqa: S108


def test_the_migration_is_between_data_and_application() -> None:
    manifests = render("dev", "canary")
    job = manifests.one("Job", "crm-migrate")
    assert job["metadata"]["annotations"] == {
        "argocd.argoproj.io/hook": "Sync",
        "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
        "argocd.argoproj.io/sync-wave": "-1",
        "helm.sh/hook": "post-install,pre-upgrade",
        "helm.sh/hook-delete-policy": "before-hook-creation",
    }


def test_a_migration_that_hangs_ends() -> None:
    job = render("production", "canary").one("Job", "crm-migrate")["spec"]
    assert job["activeDeadlineSeconds"] == 300
    assert container("Job", "crm-migrate")["args"] == ["migrate"]


@pytest.mark.parametrize(("seconds", "own"), [(300, "240"), (180, "144"), (10, "8")])
def test_a_migration_gives_up_by_itself_before_its_job_is_ended(seconds: int, own: str) -> None:
    """Whoever is ended from outside cannot say what stood in the way."""
    values: Values = {"migration": {"deadlineSeconds": seconds}}
    job = render("production", "canary", values=values).one("Job", "crm-migrate")["spec"]
    assert job["activeDeadlineSeconds"] == seconds
    entries = {entry["name"]: entry.get("value") for entry in container("Job", "crm-migrate", values)["env"]}
    assert entries["MIGRATE_DEADLINE"] == own


def test_the_migration_needs_no_config_map_that_an_upgrade_has_not_made_yet() -> None:
    entries = {entry["name"]: entry for entry in container("Job", "crm-migrate")["env"]}
    assert not [entry for entry in entries.values() if "configMapKeyRef" in entry.get("valueFrom", {})]
    data = render("production", "canary").config["data"]
    assert {name: entries[name.upper().replace("-", "_")]["value"] for name in data} == data
