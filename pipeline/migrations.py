"""`make migrations`, with TESTS=app/… some of them: do the base commit's tests pass on this commit's schema?

During a canary, and after a rollback, the code of the release before works on the schema of the new one. So this
commit's migrations are applied to an empty database, and on that the tests of the commit that it is based on are run,
with that commit's code.

The base is the commit that BASE names, else where HEAD has left origin/main, else the commit before HEAD.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import Refuses, gate
from testing.servers import throwaway

CHECKOUT = Path(__file__).resolve().parent.parent
DATABASE = "crm"


@gate("migrations")
def main(tests: Sequence[str]) -> int:
    base = base_of(os.environ.get("BASE", ""))
    print(f"migrations: the tests of {base[:12]} on the schema of this checkout", flush=True)
    check(base, tests or ["app"])
    return 0


def base_of(named: str, checkout: Path = CHECKOUT) -> str:
    """The base's full name. Raises Refuses if there is none."""
    # GitHub names no commit, or forty zeros, where a branch is new.
    if named.strip("0") and (found := _commit(named, checkout)):
        return found
    if named.strip("0"):
        raise Refuses(f"BASE names {named}, which is no commit of this checkout: fetch its history.")
    merged = _git(checkout, "merge-base", "HEAD", "origin/main")
    if merged and merged != _commit("HEAD", checkout):
        return merged
    before = _commit("HEAD~1", checkout)
    if before is None:
        raise Refuses("HEAD has no commit before it: fetch the history, or name a BASE.")
    return before


def check(base: str, tests: Sequence[str], checkout: Path = CHECKOUT) -> None:
    """Raises Refuses if the migrations cannot be applied, or the base's tests fail on the schema they make."""
    with (
        tempfile.TemporaryDirectory(prefix="crm-base-") as scratch,
        throwaway(DATABASE, f"test_{DATABASE}") as servers,
    ):
        old = Path(scratch)
        archive = subprocess.run(["git", "archive", base], cwd=checkout, capture_output=True, check=True)
        subprocess.run(["tar", "--extract"], cwd=old, input=archive.stdout, check=True)
        # pytest-django's name for the database of tests, which it leaves as it is when told to reuse it.
        new = servers | {"DB_NAME": f"test_{DATABASE}", "DJANGO_SETTINGS_MODULE": "config.settings.test"}
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
        if subprocess.run(migrate, cwd=checkout / "app", env=os.environ | new, check=False).returncode:
            raise Refuses("The migrations of this commit cannot be applied to an empty database; see above.")
        run = [sys.executable, "-m", "pytest", "--reuse-db", "--quiet", "-p", "no:cacheprovider", *tests]
        if subprocess.run(run, cwd=old, env=os.environ | servers, check=False).returncode:
            raise Refuses(
                f"The code of {base[:12]} does not work on the new schema: keep what it uses (add now, remove in the"
                " release after the next), so that a canary and a rollback are possible."
            )


def _commit(name: str, checkout: Path) -> str | None:
    return _git(checkout, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") or None


def _git(checkout: Path, *arguments: str) -> str:
    """What Git says; nothing where it fails."""
    done = subprocess.run(["git", *arguments], cwd=checkout, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
