"""The environment of a test run, set when Django's test settings are imported.

Servers that DB_HOST and REDIS_HOST name are used; else free ports are chosen here, and conftest.py
starts servers there. A child process of a test run (pytest-xdist) gets servers of its own.
"""

import os

from testing.ports import free_port

THROWAWAY = "CRM_THROWAWAY_SERVERS"


def complete() -> None:
    ours = os.environ.get(THROWAWAY, "").split()
    if "DB_HOST" not in os.environ or "postgres" in ours:
        ours.append("postgres")
        os.environ.update(
            DB_HOST="127.0.0.1",
            DB_PORT=str(free_port()),
            DB_NAME="crm",
            DB_USER="crm",
            DB_PASSWORD="crm",  # noqa: S106
        )
    if "REDIS_HOST" not in os.environ or "redis" in ours:
        ours.append("redis")
        os.environ.update(REDIS_HOST="127.0.0.1", REDIS_PORT=str(free_port()), REDIS_PASSWORD="redis secret")  # noqa: S106
    os.environ[THROWAWAY] = " ".join(sorted(set(ours)))
    os.environ.setdefault("SECRET_KEY", "for tests only, and as long as a real one must be")
    os.environ.setdefault("ALLOWED_HOSTS", "testserver,127.0.0.1,localhost,canary.internal")
    os.environ.setdefault("PROBE_HOSTS", "canary.internal")
    os.environ.setdefault("CORS_ORIGINS", "https://app.example.com")
    os.environ.setdefault("EMAIL_PROOF", "optional")
    os.environ.setdefault("VERSION", "1.2.3")
    os.environ.setdefault("ENVIRONMENT", "test")


complete()
