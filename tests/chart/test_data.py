"""The embedded PostgreSQL and Redis, and what stands in their place."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.chart.rendering import Manifest, Values, refusal, render
from tests.chart.test_secrets import secrets_of


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


CLOUD_NATIVE_PG: Values = {
    "mode": "external",
    "sslmode": "verify-full",
    "ca": {"secret": "sales-ca"},
    "existingSecret": "sales-app",
    "secretKeys": {"host": "host", "port": "port"},
}
CLOUDS_REDIS: Values = {
    "mode": "external",
    "host": "redis.example.com",
    "tls": True,
    "username": "crm",
    "ca": {"configMap": "company-ca", "key": "bundle.pem"},
    "existingSecret": "redis-auth",
    "secretKeys": {"password": "token"},
}


def as_told(values: Values) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """What the web process is told: by variable its setting, and by file of secrets the object and its key."""
    manifests = render("production", "canary", values=values)
    pod = manifests.rollout["template"]["spec"]
    config = manifests.config["data"]
    files: dict[str, tuple[str, str]] = {}
    for source in secrets_of(pod)["sources"]:
        ((_, of),) = source.items()
        files |= {item["path"]: (of["name"], item["key"]) for item in of["items"]}
    (container,) = pod["containers"]
    told = {}
    for entry in container["env"]:
        if entry["name"].startswith(("DB_", "REDIS_")):
            key = entry.get("valueFrom", {}).get("configMapKeyRef", {}).get("key")
            told[entry["name"]] = config[key] if key else entry["value"]
    return told, files


def test_a_database_and_a_redis_are_as_their_operators_made_them() -> None:
    told, files = as_told({"database": CLOUD_NATIVE_PG, "redis": CLOUDS_REDIS})
    own = {key: ("crm-secrets", key) for key in ("secret-key", "email-user", "email-password")}
    assert files == own | {
        "db-name": ("sales-app", "dbname"),
        "db-user": ("sales-app", "username"),
        "db-password": ("sales-app", "password"),
        "db-host": ("sales-app", "host"),
        "db-port": ("sales-app", "port"),
        "db-ca": ("sales-ca", "ca.crt"),
        "redis-password": ("redis-auth", "token"),
        "redis-ca": ("company-ca", "bundle.pem"),
    }
    secrets = {name: f"/etc/crm/secrets/{name}" for name in files}
    from_files = ("DB_HOST", "DB_NAME", "DB_PASSWORD", "DB_PORT", "DB_USER", "REDIS_PASSWORD")
    assert told == {f"{name}_FILE": secrets[name.lower().replace("_", "-")] for name in from_files} | {
        "DB_HOST": "postgresql.example.com",
        "DB_PORT": "",
        "DB_SSLMODE": "verify-full",
        "DB_CA": secrets["db-ca"],
        "REDIS_HOST": "redis.example.com",
        "REDIS_PORT": "6379",
        "REDIS_TLS": "true",
        "REDIS_USER": "crm",
        "REDIS_CA": secrets["redis-ca"],
    }


def test_a_database_may_be_an_address() -> None:
    parts = dict.fromkeys(("dbname", "username", "password"), "")
    address = CLOUD_NATIVE_PG | {"host": "", "secretKeys": {**parts, "uri": "uri"}}
    told, files = as_told({"database": address})
    assert {file: key for file, key in files.items() if file.startswith("db-")} == {
        "db-uri": ("sales-app", "uri"),
        "db-ca": ("sales-ca", "ca.crt"),
    }
    assert (told["DB_HOST"], told["DB_PORT"], told["DB_URI_FILE"]) == ("", "", "/etc/crm/secrets/db-uri")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"database": {**CLOUD_NATIVE_PG, "ca": {"secret": ""}}},
            (
                "database.sslmode is verify-full, but nobody says whose certificates count: name the Secret or the"
                " ConfigMap of the authority's in database.ca."
            ),
        ),
        (
            {"redis": {**CLOUDS_REDIS, "ca": {"secret": "a", "configMap": "b"}}},
            "redis.ca names a Secret and a ConfigMap: the authority's certificate is in one of them, empty the other.",
        ),
        (
            {"redis": {**CLOUDS_REDIS, "tls": False}},
            (
                "redis.ca names an authority, but redis.tls is false and nobody shows a certificate: set redis.tls to"
                " true, or empty redis.ca."
            ),
        ),
        (
            {"database": {**CLOUD_NATIVE_PG, "mode": "embedded"}},
            (
                "database.mode is embedded, but existingSecret and ca are of a server that somebody else runs: set the"
                " mode to external, or empty both."
            ),
        ),
        (
            {"database": {**CLOUD_NATIVE_PG, "secretKeys": {"uri": "uri", "host": "host"}}},
            "database.secretKeys names uri and host or port: the address has both, empty host and port.",
        ),
        ({"database": {**CLOUD_NATIVE_PG, "secretKeys": {}}}, "database.host is empty"),
    ],
)
def test_what_contradicts_itself_is_refused(values: Values, sentence: str) -> None:
    assert sentence in refusal(values)
