import os
import subprocess
import sys

import pytest

from testing.processes import APP


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, str(APP / "manage.py"), *arguments]
    return subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("settings", ["config.settings.production", "config.settings.web"])
def test_deployment_check_has_no_finding(settings: str) -> None:
    done = manage(
        "check",
        "--deploy",
        "--fail-level=WARNING",
        SECURE_SSL_REDIRECT="true",
        DJANGO_SETTINGS_MODULE=settings,
        SECRET_KEY="q8w7e6r5t4-z3u2i1o0pa-sdfghjklyx-cvbnm12345-67890abcdef",
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_setting_is_named() -> None:
    done = manage("check", DB_HOST="")
    assert done.returncode != 0
    assert "DB_HOST is not set; set it, or DB_HOST_FILE" in done.stderr


def test_only_the_web_process_has_a_pool() -> None:
    show = "from django.conf import settings; print(settings.DATABASES['default']['OPTIONS'].get('pool'))"
    tasks = manage("shell", "--no-imports", "-c", show, DJANGO_SETTINGS_MODULE="config.settings.production")
    web = manage(
        "shell", "--no-imports", "-c", show, DJANGO_SETTINGS_MODULE="config.settings.web", WEB_THREADS="7"
    )
    assert tasks.stdout.strip() == "None", tasks.stderr
    assert "'max_size': 8" in web.stdout, web.stderr


def test_the_entrypoint_refuses_an_unknown_role() -> None:
    done = subprocess.run([APP / "entrypoint", "cron"], capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert "expected http, worker, beat or migrate, found 'cron'" in done.stderr


def test_no_migration_is_missing() -> None:
    done = manage(
        "makemigrations", "--check", "--dry-run", DJANGO_SETTINGS_MODULE="config.settings.production"
    )
    assert done.returncode == 0, done.stdout + done.stderr
