"""The embedded PostgreSQL and Redis, and what stands in their place."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.chart.rendering import Manifest, Values, render


def stateful(name: str, values: Values | None = None) -> Manifest:
    spec: Manifest = render(values=values).one("StatefulSet", name)["spec"]
    return spec


def test_external_services_leave_nothing_to_run() -> None:
    assert not render("production", "canary").of("StatefulSet")


@pytest.mark.parametrize(("name", "port"), [("postgresql", 5432), ("redis", 6379)])
def test_each_is_one_server_behind_one_service(name: str, port: int) -> None:
    spec = stateful(name)
    assert spec["replicas"] == 1
    assert spec["template"]["spec"]["securityContext"]["runAsUser"] == 999
    service = render().one("Service", name)["spec"]
    assert service["selector"] == spec["selector"]["matchLabels"]
    assert [entry["port"] for entry in service["ports"]] == [port]


@pytest.mark.parametrize(("name", "key"), [("postgresql", "database"), ("redis", "redis")])
def test_data_has_a_claim_or_lives_as_long_as_its_pod(name: str, key: str) -> None:
    def volumes(enabled: bool) -> tuple[list[str], list[str]]:
        spec = stateful(name, {key: {"embedded": {"persistence": {"enabled": enabled}}}})
        claims = [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])]
        return claims, [volume["name"] for volume in spec["template"]["spec"]["volumes"]]

    claims, volumes_of_pod = volumes(enabled=True)
    assert claims == ["data"]
    assert "data" not in volumes_of_pod
    claims, volumes_of_pod = volumes(enabled=False)
    assert claims == []
    assert "data" in volumes_of_pod


def test_a_storage_class_can_be_named() -> None:
    spec = stateful("postgresql", {"database": {"embedded": {"persistence": {"storageClass": "fast"}}}})
    assert spec["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"


def test_postgresql_speaks_the_official_images_language() -> None:
    (container,) = stateful("postgresql")["template"]["spec"]["containers"]
    assert container["image"] == "docker.io/library/postgres:15-bookworm"
    assert "command" not in container
    entries = {entry["name"]: entry for entry in container["env"]}
    keys = {
        name: entry["valueFrom"]["secretKeyRef"]["key"]
        for name, entry in entries.items()
        if "valueFrom" in entry
    }
    assert keys == {
        "POSTGRES_DB": "db-name",
        "POSTGRES_USER": "db-user",
        "POSTGRES_PASSWORD": "db-password",
    }
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert entries["PGDATA"]["value"].startswith("/var/lib/postgresql/data/")
    assert mounts == {"/var/lib/postgresql/data", "/var/run/postgresql", "/tmp"}  # noqa: S108


def test_redis_is_told_its_password_by_a_file(tmp_path: Path) -> None:
    """The command is run here with a stand-in for redis-server that shows what it was given."""
    (container,) = stateful("redis")["template"]["spec"]["containers"]
    (tmp_path / "redis-server").write_text('#!/bin/sh\necho "$@"; cat "$1"; stat -c %a "$1"\n')
    (tmp_path / "redis-server").chmod(0o755)
    script = container["args"][0].replace("/tmp/redis.conf", str(tmp_path / "redis.conf"))  # noqa: S108
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDIS_PASSWORD": "s3cret"}
    done = subprocess.run(
        [*container["command"], script], env=environment, capture_output=True, text=True, check=True
    )
    arguments, setting, mode = done.stdout.splitlines()
    assert "s3cret" not in arguments
    assert setting == 'requirepass "s3cret"'
    assert mode == "600"
