"""The CRM served as in production: gunicorn, PostgreSQL and Redis, as long as a benchmark or a fuzzing takes."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import django
import httpx

from pipeline.errors import Refuses
from testing.ports import free_port
from testing.processes import Role
from testing.servers import throwaway

if TYPE_CHECKING:
    from crm.authentication.models import User

DATABASE = "crm"


def prepare(stack: ExitStack, folder: Path) -> None:
    """Start the servers until the stack is left, make the schema, and let this process use both as the CRM does.

    Raises Refuses if the migrations cannot be applied.
    """
    os.environ.update(
        stack.enter_context(throwaway(DATABASE)), SECRET_KEY="k" * 50, ALLOWED_HOSTS="127.0.0.1"
    )
    with Role("migrate", {}, folder / "migrate.log") as migration:
        if migration.process.wait(120):
            raise Refuses(f"The migrations cannot be applied to an empty database: {migration.output()}")
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.production"
    django.setup()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # else a line for each request


def web(stack: ExitStack, folder: Path, database: str = DATABASE, **environment: str) -> tuple[str, Role]:
    """The web role until the stack is left: its address, and itself."""
    ports = {"PORT": str(free_port()), "METRICS_PORT": str(free_port())}
    settings = ports | {"DB_NAME": database, "TMPDIR": str(folder)} | environment
    role = stack.enter_context(Role("http", settings, folder / f"web-{database}.log"))
    address = f"http://127.0.0.1:{ports['PORT']}"
    role.wait_until(partial(_answers, address))
    return address, role


def token_of(user: User) -> str:
    """What signs the user in, for a quarter of an hour."""
    from crm.authentication.api.tokens import refresh_token_for  # noqa: PLC0415

    return str(refresh_token_for(user).access_token)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/live/", timeout=5).is_success
    except httpx.TransportError:
        return False
