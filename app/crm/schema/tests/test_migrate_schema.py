import os
import threading
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from crm.schema import migrating
from testing.ports import free_port
from testing.processes import Role

pytestmark = pytest.mark.slow


def connect(database: str) -> psycopg.Connection:
    there = settings.DATABASES["default"]
    return psycopg.connect(
        host=there["HOST"],
        port=there["PORT"],
        user=there["USER"],
        password=there["PASSWORD"],
        dbname=database,
        autocommit=True,
    )


@pytest.fixture
def empty_database(servers: object) -> Iterator[str]:
    name = "crm_to_migrate"
    with connect(os.environ["DB_NAME"]) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield name
    with connect(os.environ["DB_NAME"]) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_two_at_once_on_an_empty_database(empty_database: str, tmp_path: Path) -> None:
    environment = {"DB_NAME": empty_database}
    with (
        Role("migrate", environment, tmp_path / "one.log") as one,
        Role("migrate", environment, tmp_path / "two.log") as two,
    ):
        assert one.process.wait(30) == 0, one.output()
        assert two.process.wait(30) == 0, two.output()
    assert one.output().count("OK") + two.output().count("OK") == one.output().count(
        "Applying"
    ) + two.output().count("Applying")
    with connect(empty_database) as connection:
        assert connection.execute("SELECT count(*) FROM deals_stage").fetchone() == (5,)
        assert connection.execute("SELECT count(*) FROM authentication_user").fetchone() == (0,)


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_another_migration() -> None:
    errors = StringIO()
    with connect(settings.DATABASES["default"]["NAME"]) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [migrating.ADVISORY_LOCK])
        release = threading.Timer(0.3, lambda: other.execute("SELECT pg_advisory_unlock_all()"))
        release.start()
        call_command("migrate_schema", stdout=StringIO(), stderr=errors)
        release.join()
    assert "Trying again in 0.5 s: another migration is running" in errors.getvalue()


@pytest.mark.django_db(transaction=True)
def test_it_steps_back_from_a_busy_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "LOCK_TIMEOUT", "100ms")
    with connect(settings.DATABASES["default"]["NAME"]) as other, other.transaction():
        other.execute("LOCK TABLE django_migrations")
        with pytest.raises(CommandError, match="canceling statement due to lock timeout"):
            call_command("migrate_schema", deadline=0.3, stdout=StringIO(), stderr=StringIO())


@pytest.mark.django_db(transaction=True)
def test_a_database_that_does_not_come_is_one_sentence(tmp_path: Path) -> None:
    environment = {"DB_PORT": str(free_port())}
    started = time.monotonic()
    with Role("migrate", environment | {"MIGRATE_DEADLINE": "1"}, tmp_path / "log") as role:
        assert role.process.wait(20) == 1
    assert time.monotonic() - started < 10
    assert "CommandError: The database was not migrated within 1 s: connection" in role.output()
    assert "Traceback" not in role.output()
