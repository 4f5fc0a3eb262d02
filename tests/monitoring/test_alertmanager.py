"""Who is notified of what: every alert through the routes, and the ladder on a real Alertmanager."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cluster import waiting
from monitoring.alertmanager import SITE, configuration
from monitoring.objectives import LEVELS, seconds
from monitoring.receiver import Received, http_server, smtp_server
from testing.ports import free_port
from tests.chart.rendering import Manifests

TIME_SCALE = 900  # 15 minutes are a second
LADDER = [f"level-{number}" for number in range(1, len(LEVELS) + 1)]
Message = dict[str, Any]


def found(tool: str) -> str:
    path = shutil.which(tool)
    assert path, f"{tool} is not on PATH; `make servers` installs it"
    return path


def alerts_of(manifests: Manifests) -> list[dict[str, str]]:
    """The labels of every alert that can fire."""
    return [
        {"namespace": "crm-production", "alertname": rule["alert"], **rule["labels"]}
        for manifest in manifests.of("PrometheusRule")
        for group in manifest["spec"]["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]


def expected(labels: dict[str, str]) -> list[str]:
    match labels["severity"]:
        case "none":
            return ["dead-mans-switch"]
        case "warning":
            return ["team"]
    public = ["status-page"] if labels["alertname"] in {"CRMDown", "HighErrorRate"} else []
    return public + LADDER


def test_every_alert_finds_its_way(manifests: Manifests, tmp_path: Path) -> None:
    file = tmp_path / "alertmanager.yaml"
    file.write_text(yaml.safe_dump(configuration()))
    amtool = found("amtool")
    subprocess.run([amtool, "check-config", str(file)], check=True, capture_output=True)
    alerts = alerts_of(manifests)
    assert {labels["severity"] for labels in alerts} == {"critical", "warning", "none"}
    for labels in alerts:
        pairs = [f"{name}={value}" for name, value in labels.items()]
        command = [amtool, "config", "routes", "test", f"--config.file={file}", *pairs]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        assert run.stdout.strip().split(",") == expected(labels), labels


def test_only_what_users_notice_reaches_the_public(manifests: Manifests) -> None:
    rules = [
        rule
        for manifest in manifests.of("PrometheusRule")
        for group in manifest["spec"]["groups"]
        for rule in group["rules"]
    ]
    public = {
        rule["alert"]: rule["annotations"]["public"]
        for rule in rules
        if "public" in rule.get("annotations", {})
    }
    assert set(public) == {"CRMDown", "HighErrorRate"}
    assert not any("crm-production" in sentence or "{{" in sentence for sentence in public.values())


def test_what_a_cluster_notes_down_wakes_nobody(tmp_path: Path) -> None:
    file = tmp_path / "alertmanager.yaml"
    file.write_text(yaml.safe_dump(configuration()))
    for severity in ("info", "none"):
        command = [
            found("amtool"),
            "config",
            "routes",
            "test",
            f"--config.file={file}",
            f"severity={severity}",
        ]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        assert run.stdout.strip() == "nobody"


def test_nothing_secret_stands_in_the_configuration() -> None:
    text = json.dumps(configuration())
    for key in ("slack_api_url", "smtp_auth_password", "credentials"):
        assert f'"{key}_file"' in text
        assert f'"{key}"' not in text


@dataclass
class Alertmanager:
    """A real Alertmanager, everybody whom it tells, and what they heard."""

    url: str
    received: Received

    def fire(self, alert: str, namespace: str, *, ends: bool = False, **labels: str) -> None:
        now = datetime.now(UTC)
        alerts = [
            {
                "labels": {"alertname": alert, "namespace": namespace, "severity": "critical"} | labels,
                "annotations": {
                    "summary": "It is.",
                    "description": "So.",
                    "public": "We know.",
                    "runbook_url": "https://x",
                },
                "endsAt": (now if ends else now + timedelta(minutes=5)).isoformat(),
            }
        ]
        httpx.post(f"{self.url}/api/v2/alerts", json=alerts).raise_for_status()

    def acknowledge(self, alert: str, namespace: str) -> None:
        now = datetime.now(UTC)
        matchers = [
            {"name": name, "value": value, "isRegex": False, "isEqual": True}
            for name, value in (("alertname", alert), ("namespace", namespace))
        ]
        silence = {
            "matchers": matchers,
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "on call",
            "comment": "I am on it",
        }
        httpx.post(f"{self.url}/api/v2/silences", json=silence).raise_for_status()

    def messages(self, namespace: str, to: str = "") -> list[Message]:
        return [
            message
            for message in self.received.so_far()
            if namespace in json.dumps(message["body"]) and to in message["to"]
        ]

    def until(self, condition: Callable[[], object]) -> None:
        waiting.until(lambda: bool(condition()), what="what people should have heard", seconds=30, every=0.05)


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    folder = tmp_path_factory.mktemp("alertmanager")
    received = Received()
    http, smtp, port = http_server(0, received), smtp_server(0, received), free_port()
    here = f"http://127.0.0.1:{http.server_address[1]}"
    (folder / "slack-url").write_text(f"{here}/slack")
    for name in ("status-page", "dead-mans-switch"):
        (folder / f"{name}-token").write_text("a token")
    site = replace(
        SITE,
        smtp=f"127.0.0.1:{smtp.server_address[1]}",
        smtp_user="",
        status_page=f"{here}/status-page",
        dead_mans_switch=f"{here}/dead-mans-switch",
        secrets=str(folder),
    )
    (folder / "alertmanager.yaml").write_text(yaml.safe_dump(configuration(site, time_scale=TIME_SCALE)))
    command = [
        found("prometheus-alertmanager"),
        f"--config.file={folder}/alertmanager.yaml",
        f"--storage.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with ExitStack() as stack:
        for server in (http, smtp):
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        log = stack.enter_context((folder / "log").open("w"))
        process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
        stack.callback(process.terminate)
        running = Alertmanager(f"http://127.0.0.1:{port}", received)
        running.until(lambda: _is_ready(running.url))
        yield running


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").is_success
    except httpx.HTTPError:
        return False


def test_what_nobody_acknowledges_climbs_level_by_level(alertmanager: Alertmanager) -> None:
    alertmanager.fire("HighErrorRate", "crm-ladder")
    alertmanager.until(lambda: alertmanager.messages("crm-ladder", SITE.recipients[-1]))
    [slack] = alertmanager.messages("crm-ladder", "#crm-outage")[:1]
    assert slack["body"]["attachments"][0]["title"] == "CRITICAL: HighErrorRate in crm-ladder"
    assert "https://x" in slack["body"]["attachments"][0]["text"]
    at = [alertmanager.messages("crm-ladder", recipient)[0]["at"] for recipient in SITE.recipients]
    for level, wait in enumerate(LEVELS):
        # Not before its time, measured from the first; how much later is this machine's business.
        assert at[level] - at[0] > seconds(wait) / TIME_SCALE - 0.3
    assert (
        "Nobody has acknowledged this for 60 minutes."
        in alertmanager.messages("crm-ladder", SITE.recipients[-1])[0]["body"]
    )
    assert not alertmanager.messages("crm-ladder", "#crm-alerts")


def test_an_acknowledged_alert_climbs_no_further(alertmanager: Alertmanager) -> None:
    alertmanager.fire("HighErrorRate", "crm-acknowledged")
    alertmanager.until(lambda: alertmanager.messages("crm-acknowledged", SITE.recipients[0]))
    alertmanager.acknowledge("HighErrorRate", "crm-acknowledged")
    alertmanager.fire("HighErrorRate", "crm-later")
    alertmanager.until(lambda: alertmanager.messages("crm-later", SITE.recipients[-1]))
    for recipient in SITE.recipients[1:]:
        assert not alertmanager.messages("crm-acknowledged", recipient)


def test_one_fault_pages_once(alertmanager: Alertmanager) -> None:
    for alert in ("CRMDown", "RedisDown", "HighErrorRate", "QueueTooOld"):
        alertmanager.fire(alert, "crm-once")
    alertmanager.fire("HighErrorRate", "crm-elsewhere")
    alertmanager.until(lambda: alertmanager.messages("crm-elsewhere", SITE.recipients[1]))
    titles = {
        message["body"]["attachments"][0]["title"]
        for message in alertmanager.messages("crm-once", "#crm-outage")
    }
    assert titles == {"CRITICAL: CRMDown in crm-once"}


def test_of_burn_rates_the_fastest_counts(alertmanager: Alertmanager) -> None:
    for long, severity in (("1h", "critical"), ("6h", "critical"), ("1d", "warning")):
        alertmanager.fire("LatencyBudgetBurn", "crm-burning", long=long, severity=severity)
    alertmanager.fire("LatencyBudgetBurn", "crm-glowing", long="1d", severity="warning")
    alertmanager.until(lambda: alertmanager.messages("crm-glowing", "#crm-alerts"))
    assert len(alertmanager.messages("crm-burning", "#crm-outage")) == 1
    assert not alertmanager.messages("crm-burning", "#crm-alerts")


def test_the_status_page_hears_what_happened_and_that_it_is_over(alertmanager: Alertmanager) -> None:
    alertmanager.fire("CRMDown", "crm-public")
    alertmanager.until(lambda: alertmanager.messages("crm-public", "status-page"))
    [payload] = [message["body"] for message in alertmanager.messages("crm-public", "status-page")]
    assert (payload["status"], payload["commonAnnotations"]["public"]) == ("firing", "We know.")
    alertmanager.fire("CRMDown", "crm-public", ends=True)
    alertmanager.until(
        lambda: alertmanager.messages("crm-public", "status-page")[-1]["body"]["status"] == "resolved"
    )
    alertmanager.until(
        lambda: any(
            message["body"]["attachments"][0]["title"] == "Over: CRMDown in crm-public"
            for message in alertmanager.messages("crm-public", "#crm-outage")
        )
    )


def test_the_dead_mans_switch_is_heard_again_and_again(alertmanager: Alertmanager) -> None:
    alertmanager.fire("DeadMansSwitch", "crm-alive", severity="none")
    alertmanager.until(lambda: len(alertmanager.messages("crm-alive", "dead-mans-switch")) >= 3)
    assert not alertmanager.messages("crm-alive", "#")
