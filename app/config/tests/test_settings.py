import os
import subprocess
import sys
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command

from testing.processes import APP

pytestmark = pytest.mark.security


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, str(APP / "manage.py"), *arguments]
    return subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=False)


def test_deployment_check_has_no_finding() -> None:
    done = manage(
        "check",
        "--deploy",
        "--fail-level=WARNING",
        SECURE_SSL_REDIRECT="true",
        SECRET_KEY="q8w7e6r5t4-z3u2i1o0pa-sdfghjklyx-cvbnm12345-67890abcdef",
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_setting_is_named() -> None:
    done = manage("check", DB_HOST="")
    assert done.returncode != 0
    assert "DB_HOST is not set; set it, or DB_HOST_FILE" in done.stderr


def test_only_the_web_process_has_a_pool() -> None:
    assert "pool" not in settings.DATABASES["default"]["OPTIONS"]
    show = "from config.settings import web; print(web.DATABASES['default']['OPTIONS']['pool'])"
    done = subprocess.run(
        [sys.executable, "-c", show],
        env=os.environ | {"WEB_THREADS": "7"},
        cwd=APP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "'max_size': 8" in done.stdout, done.stderr


def test_the_entrypoint_refuses_an_unknown_role() -> None:
    done = subprocess.run([APP / "entrypoint", "cron"], capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert "expected http, worker, beat or migrate, found 'cron'" in done.stderr


def test_no_migration_is_missing(db: None) -> None:
    call_command("makemigrations", check=True, dry_run=True, stdout=StringIO())
