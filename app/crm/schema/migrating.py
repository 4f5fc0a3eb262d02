"""Migrate once, whatever else happens: other migrators, a database that is still starting, busy tables."""

from collections.abc import Callable
from time import monotonic, sleep

from django.core.management import call_command
from django.db import InterfaceError, OperationalError, connection

ADVISORY_LOCK = 0x63726D  # "crm"; any number will do that all versions share
# A migration that waits for a table makes everybody behind it wait too; it rather tries again.
LOCK_TIMEOUT = "3s"
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds


class NotMigrated(Exception):
    """The deadline has passed; says what stood in the way last."""


def migrate(*, deadline: float, report: Callable[[str], None]) -> None:
    """Apply all migrations within `deadline` seconds. Safe to run twice, and twice at once.

    Raises NotMigrated after the deadline, and at once whatever a migration itself gets wrong.
    """
    end = monotonic() + deadline
    pause = FIRST_PAUSE
    while True:
        try:
            _lock_and_migrate()
        except (OperationalError, InterfaceError, _Busy) as error:
            reason = str(error).strip().splitlines()[0]
            if monotonic() + pause > end:
                raise NotMigrated(f"The database was not migrated within {deadline:g} s: {reason}") from error
            report(f"Trying again in {pause:g} s: {reason}")
            sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        else:
            return
        finally:
            connection.close()  # and with it the session's lock and time-out


class _Busy(Exception):
    pass


def _lock_and_migrate() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_TIMEOUT])
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_LOCK])
        if cursor.fetchone() != (True,):
            raise _Busy("another migration is running")
    call_command("migrate", interactive=False, verbosity=1)
