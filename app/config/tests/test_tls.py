"""PostgreSQL and Redis as an operator or a cloud has them: with TLS by an authority of their own, and a user."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from config.tests.test_settings import manage
from testing.ports import free_port
from testing.processes import Role
from testing.servers import Postgres, Redis

pytestmark = [pytest.mark.security, pytest.mark.slow]

PASSWORD = "s3cr/et@here"
SHOWS_TLS = """
from django.core.cache import cache
from django.db import connection
from config.celery import app
with connection.cursor() as cursor:
    cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    print("database", cursor.fetchone())
cache.set("a", "kept")
print("cache", cache.get("a"))
with app.connection_for_write() as broker:
    broker.ensure_connection(max_retries=1)
    print("broker", broker.connected)
"""


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def authority(folder: Path, name: str) -> Path:
    """A CA of our own making; its certificate."""
    new = (
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    )
    openssl(folder, *new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")
    return folder / f"{name}.crt"


class TlsPostgres(Postgres):
    def command(self) -> list[str]:
        files = (
            f"-cssl_{kind}_file={self.directory / name}"
            for kind, name in (("cert", "s.crt"), ("key", "s.key"))
        )
        return [*super().command(), "-cssl=on", *files]


class TlsRedis(Redis):
    def command(self) -> list[str]:
        program, *_ = super().command()
        files = {"cert": "s.crt", "key": "s.key", "ca-cert": "ca.crt"}
        tls = [
            word
            for kind, name in files.items()
            for word in (f"--tls-{kind}-file", str(self.directory / name))
        ]
        user = ["--user", "crm", "on", f">{PASSWORD}", "~*", "&*", "+@all", "--user", "default", "off"]
        ports = [
            "--port",
            "0",
            "--tls-port",
            str(self.port),
            "--tls-auth-clients",
            "no",
            "--bind",
            "127.0.0.1",
        ]
        return [program, *ports, *tls, *user, "--save", "", "--dir", str(self.directory)]


@dataclass(frozen=True)
class Secured:
    environment: dict[str, str]
    wrong_ca: str


@pytest.fixture(scope="module")
def readable() -> Iterator[Path]:
    """A folder that PostgreSQL reads too, which runs as another user where this one is root."""
    with tempfile.TemporaryDirectory(prefix="crm-tls-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def secured(readable: Path) -> Iterator[Secured]:
    """Both servers, with one certificate for `localhost`."""
    folder = readable
    ca, wrong_ca = authority(folder, "ca"), authority(folder, "another")
    openssl(
        folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "s.key", "-out", "s.csr", "-subj", "/CN=s"
    )
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    signed = ("x509", "-req", "-in", "s.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-extfile", "names")
    openssl(folder, *signed, "-days", "2", "-out", "s.crt")
    redis = TlsRedis(folder, free_port(), PASSWORD)
    redis.start()
    (folder / "pg").mkdir()
    for name in ("s.crt", "s.key"):
        (folder / "pg" / name).write_bytes((folder / name).read_bytes())
    (folder / "pg" / "s.key").chmod(0o600)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "postgres:postgres", str(folder / "pg")], check=True)
    try:
        postgres = TlsPostgres(folder / "pg", free_port(), "crm", "crm")
        try:
            yield Secured(
                {
                    "DB_HOST": "",
                    "DB_PORT": "",
                    "DB_NAME": "",
                    "DB_USER": "",
                    "DB_PASSWORD": "",
                    "DB_URI": f"postgresql://crm:{quote(PASSWORD, safe='')}@localhost:{postgres.port}/crm",
                    "DB_SSLMODE": "verify-full",
                    "DB_CA": str(ca),
                    "REDIS_HOST": "localhost",
                    "REDIS_PORT": str(redis.port),
                    "REDIS_USER": "crm",
                    "REDIS_PASSWORD": PASSWORD,
                    "REDIS_TLS": "true",
                    "REDIS_CA": str(ca),
                },
                str(wrong_ca),
            )
        finally:
            postgres.stop()
    finally:
        redis.stop()


def test_both_are_asked_through_tls_and_by_name(secured: Secured) -> None:
    done = manage("shell", "--verbosity=0", "--command", SHOWS_TLS, **secured.environment)
    assert done.stdout.splitlines() == ["database (True,)", "cache kept", "broker True"], done.stderr


@pytest.mark.parametrize("changed", ["authority", "name"])
def test_another_authority_or_name_is_refused_in_one_sentence(
    secured: Secured, changed: str, tmp_path: Path
) -> None:
    address = secured.environment["DB_URI"].replace("@localhost", "@127.0.0.1")
    wrong = {
        "authority": {"DB_CA": secured.wrong_ca, "REDIS_CA": secured.wrong_ca},
        "name": {"DB_URI": address, "REDIS_HOST": "127.0.0.1"},
    }[changed]
    environment = secured.environment | wrong
    said = {"authority": "certificate verify failed", "name": 'does not match host name "127.0.0.1"'}
    with (
        Role("migrate", environment | {"MIGRATE_DEADLINE": "1"}, tmp_path / "migrate.log") as migrate,
        Role("worker", environment, tmp_path / "worker.log") as worker,
    ):
        assert migrate.process.wait(60) == 1
        worker.wait_until(lambda: "certificate verify failed" in worker.output(), seconds=60)
    (sentence,) = [line for line in migrate.output().splitlines() if "CommandError" in line]
    assert said[changed] in sentence
    assert "Traceback" not in migrate.output() + worker.output()
