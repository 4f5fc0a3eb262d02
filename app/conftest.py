"""Real servers, three people, and their clients."""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.core.cache import cache
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from crm.authentication.models import User
from crm.deals.models import Pipeline, Stage
from testing.environment import THROWAWAY
from testing.servers import Postgres, Redis


@dataclass
class Servers:
    """The throwaway servers; None where the run was given one, which no test may stop."""

    postgres: Postgres | None
    redis: Redis | None


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    ours = os.environ[THROWAWAY].split()
    with tempfile.TemporaryDirectory(prefix="crm-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)
        started = Servers(None, None)
        try:
            if "redis" in ours:
                port, password = int(os.environ["REDIS_PORT"]), os.environ["REDIS_PASSWORD"]
                started.redis = Redis(directory, port, password)
                started.redis.start()
            if "postgres" in ours:
                port, user = int(os.environ["DB_PORT"]), os.environ["DB_USER"]
                (directory / "pg").mkdir()
                started.postgres = Postgres(directory / "pg", port, user, os.environ["DB_NAME"])
            yield started
        finally:
            for server in (started.postgres, started.redis):
                if server is not None:
                    server.stop()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(servers: Servers) -> None:
    """pytest-django's hook before it creates the test database: the servers must be there."""


@pytest.fixture(autouse=True)
def empty_cache(servers: Servers) -> Iterator[None]:
    yield
    cache.clear()


# Alice owns the records, Bob is on her team, Charlie must never see them.


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", "alice@example.com", "correct horse")


@pytest.fixture
def bob(alice: User) -> User:
    return User.objects.create_user("bob", "bob@example.com", "correct horse", team=alice.team)


@pytest.fixture
def charlie(db: None) -> User:
    return User.objects.create_user("charlie", "charlie@example.com", "correct horse")


@pytest.fixture
def as_user() -> Callable[[User], APIClient]:
    def client_of(user: User) -> APIClient:
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(user)}")
        return client

    return client_of


@pytest.fixture
def api(alice: User, as_user: Callable[[User], APIClient]) -> APIClient:
    return as_user(alice)


@pytest.fixture
def sales(db: None) -> Pipeline:
    """The pipeline that a migration makes; once more if a test that commits has emptied the tables."""
    import_module("crm.deals.migrations.0002_sales_pipeline").seed(apps, None)
    return Pipeline.objects.get(name="Sales")


@pytest.fixture
def stages(sales: Pipeline) -> dict[str, Stage]:
    return {stage.name: stage for stage in sales.stages.all()}


@pytest.fixture
def anonymous() -> APIClient:
    return APIClient()
