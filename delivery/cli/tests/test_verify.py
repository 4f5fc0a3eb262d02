"""A release that has arrived is looked at: by its health, a few requests, and Prometheus' counts of enough of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from delivery.cli.main import main
from delivery.cli.verify import FEWEST, Prometheus, RequestCounts, Verification, refuse_bad
from delivery.errors import Refused
from delivery.tests.hosts import Registry, Remote
from delivery.tests.json_server import Answer, serving


@dataclass
class Environment:
    """A CRM and the Prometheus that scrapes it, of which every request is counted at once."""

    versions: list[str] = field(default_factory=lambda: ["1.6"])
    """What answers, one after the other; the last one stays."""
    healthy: bool = True
    answers: dict[str, int] = field(default_factory=dict)
    requests: int = 1000
    failed: int = 0
    slow: int = 0
    token: str = ""
    asked: list[str] = field(default_factory=list)
    scraped: bool = True

    def crm(self, path: str, _: dict[str, str]) -> Answer:
        if path == "/health/":
            version = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
            return 200, {"status": "ok" if self.healthy else "unhealthy", "version": version}
        self.requests += self.scraped
        usual = {"/": 200, "/api/v1/deals/": 401}
        return self.answers.get(path, usual.get(path, 404)), {}

    def prometheus(self, path: str, headers: dict[str, str]) -> Answer:
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            return 403, {}
        (query,) = parse_qs(urlsplit(path).query)["query"]
        self.asked.append(query)
        if 'status=~"5.."' in query:
            value = self.failed
        elif "_bucket" in query:
            value = self.requests - self.slow
        else:
            value = self.requests
        found = [{"metric": {}, "value": [1767355200, str(value)]}] if value else []
        return 200, {"status": "success", "data": {"resultType": "vector", "result": found}}

    def verified(self, seconds: float = 0, token: str = "") -> str:
        with (
            serving(self.crm) as address,
            serving(self.prometheus) as prometheus,
            httpx.Client(base_url=address) as crm,
        ):
            asked = Prometheus(prometheus, token)
            return Verification(crm, asked, "crm-dev", "1.6", seconds, lambda _: None).run()


def refusal(environment: Environment, seconds: float = 0) -> str:
    with pytest.raises(Refused) as refused:
        environment.verified(seconds)
    return str(refused.value)


def test_a_good_release_is_well() -> None:
    assert Environment(slow=20, failed=3).verified() == (
        "1.6 is healthy: of 1003 requests 0.30 % failed and 1.99 % took longer than 500 ms."
    )


def test_only_the_versions_own_requests_in_its_namespace_count() -> None:
    environment = Environment()
    environment.verified()
    assert len(environment.asked) == 4
    for query in environment.asked:
        assert 'crm_build_info{namespace="crm-dev", version="1.6"}' in query
        assert 'endpoint!~"health.*|metrics"' in query


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        (
            RequestCounts(1000, failed=10, slow=0),
            "1.6 must fail less than 1 % of its requests, but of 1000 requests 1.00 %",
        ),
        (
            RequestCounts(1000, failed=0, slow=50),
            "1.6 must have a p95 below 500 ms (less than 5 % slower), but of 1000",
        ),
    ],
)
def test_a_limit_that_is_reached_refuses(counts: RequestCounts, says: str) -> None:
    with pytest.raises(Refused) as refused:
        refuse_bad("1.6", counts)
    assert str(refused.value).startswith(says)


@pytest.mark.parametrize(
    "counts", [RequestCounts(1000, failed=9, slow=0), RequestCounts(1000, failed=0, slow=49)]
)
def test_just_below_a_limit_passes(counts: RequestCounts) -> None:
    refuse_bad("1.6", counts)


def test_a_slow_release_is_refused() -> None:
    assert "must have a p95 below 500 ms" in refusal(Environment(slow=60))


def test_a_failing_release_is_refused() -> None:
    assert "must fail less than 1 %" in refusal(Environment(failed=11))


def test_what_has_too_few_requests_gets_some() -> None:
    environment = Environment(requests=FEWEST - 30)
    assert "1.6 is healthy" in environment.verified(seconds=600)
    assert environment.requests >= FEWEST


def test_what_nobody_scrapes_is_refused() -> None:
    environment = Environment(requests=0, scraped=False)
    assert "Prometheus knows of 0 requests to 1.6 in crm-dev, and 300 are needed" in refusal(environment)


def test_a_canary_is_waited_for() -> None:
    environment = Environment(versions=["1.5", "1.6"] * 15 + ["1.6"])
    assert "1.6 is healthy" in environment.verified(seconds=600)


def test_a_release_that_does_not_arrive_is_refused() -> None:
    assert "but as 1.5 (ok): see delivery status" in refusal(Environment(versions=["1.5"]))


def test_an_unhealthy_release_is_refused() -> None:
    assert "but as 1.6 (unhealthy)" in refusal(Environment(healthy=False))


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/", 500, "expected 200 from / and got 500"),
        ("/api/v1/deals/", 200, "expected 401 from /api/v1/deals/"),
    ],
)
def test_a_failed_smoke_test_refuses(path: str, status: int, says: str) -> None:
    assert says in refusal(Environment(answers={path: status}))


def test_prometheus_may_want_a_token() -> None:
    environment = Environment(token="letmein")
    assert "1.6 is healthy" in environment.verified(token="letmein")
    assert "does not answer" in refusal(environment)


def test_no_answer_is_no_pass() -> None:
    with pytest.raises(Refused, match=r"^Prometheus at http://127.0.0.1:9 does not answer: "):
        Prometheus("http://127.0.0.1:9").counts("crm-dev", "1.6")


def test_the_command_knows_the_version_from_git(
    remote: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = Environment()
    assert main(["init"]) == 0
    pushed = registry.push(remote.head, "1.6")
    assert main(["release", "--image", str(pushed), "--to", "dev"]) == 0
    capsys.readouterr()
    assert main(["current-image", "dev"]) == 0
    assert capsys.readouterr().out == f"{pushed}\n"

    def crm(path: str, headers: dict[str, str]) -> Answer:
        """It knows its own name only, as Django does, and no resolver has to."""
        return (
            environment.crm(path, headers) if headers["host"].startswith("api.dev.localhost:") else (400, {})
        )

    with serving(crm) as address, serving(environment.prometheus) as prometheus:
        named = address.replace("127.0.0.1", "api.dev.localhost")
        assert main(["verify", "dev", "--url", named, "--prometheus", prometheus]) == 0
    assert capsys.readouterr().out.startswith("1.6 is healthy")


def test_an_environment_without_a_release_has_nothing_to_verify(
    remote: Remote, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init"]) == 0
    assert main(["current-image", "dev"]) == 1
    assert capsys.readouterr().err == "delivery: dev has no release.\n"
