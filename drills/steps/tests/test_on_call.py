"""Whoever is on call believes Prometheus and the receiver, and does what stands on the pages."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Never

import httpx
import pytest
import yaml

from drills.errors import DrillFailed
from drills.fixtures import inbox, local_cluster
from drills.report.result import AlertResult
from drills.scenarios import alerts
from drills.steps.on_call import OnCall, known, page_commands
from monitoring import generated

NAMESPACE = "crm-production"


class Environment:
    """An environment in which nothing happens but what the tests say."""

    namespace = NAMESPACE

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inbox = inbox.Inbox()
        self.alerts: dict[str, AlertResult] = {}

    def wait_until(self, condition: Callable[[Any], bool], within: timedelta, expected: str) -> None:
        if not condition(None):
            self.fail(f"{expected} within {within.total_seconds():.0f} s", "nothing")

    def fail(self, expected: str, found: str) -> Never:
        raise DrillFailed(f"Expected {expected}; found {found}.")

    def log_action(self, _text: str) -> None: ...

    def log(self, _fact: str) -> None: ...

    def log_alert(self, name: str, result: AlertResult, _text: str) -> None:
        self.alerts[name] = result


class Cluster:
    """What Prometheus and the receiver say."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []

    def fires(self, name: str, *, pending_since: float, **labels: str) -> None:
        since = datetime.fromtimestamp(pending_since, UTC).isoformat().replace("+00:00", "123Z")
        labels |= {"alertname": name, "namespace": NAMESPACE}
        self.alerts.append({"labels": labels, "state": "firing", "activeAt": since})

    def says(self, title: str, to: str, *, at: float) -> None:
        body = {"attachments": [{"title": title}]}
        self.messages.append({"at": at, "by": "slack", "to": to, "body": body})

    def mails(self, title: str, to: str, *, at: float) -> None:
        self.messages.append(
            {"at": at, "by": "email", "to": to, "body": f"To: {to}\nSubject: {title}\n\nLook."}
        )


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()

    class Answer:
        def raise_for_status(self) -> Answer:
            return self

        def json(self) -> Any:
            return {"data": {"alerts": made.alerts}}

    monkeypatch.setattr(httpx, "get", lambda *_, **__: Answer())
    monkeypatch.setattr(inbox, "_asked", lambda after: made.messages[after:])
    return made


@pytest.fixture
def person(tmp_path: Path) -> OnCall:
    return OnCall(Environment(tmp_path), None)  # type: ignore[arg-type]


def test_an_alert_that_fires_and_is_told_in_time_is_measured(person: OnCall, cluster: Cluster) -> None:
    person.fault_begins("Redis hangs", at=time.time() - 60)
    began = person.fault_begins("Redis hangs", at=time.time() - 50).at
    cluster.fires("CRMDown", pending_since=began + 30)
    cluster.says(f"CRITICAL: CRMDown in {NAMESPACE}", "#crm-outage", at=began + 33)

    person.wait_for_alert("CRMDown")
    person.fault_ends("the end of the fault")
    cluster.alerts.clear()
    cluster.says(f"Over: CRMDown in {NAMESPACE}", "#crm-outage", at=time.time() + 1)
    person.wait_for_end("CRMDown")

    found = person.environment.alerts["CRMDown"]
    assert (found.fault, found.fired, found.notified) == ("Redis hangs", 31, 33)
    assert found.ended_by == "the end of the fault"
    assert found.over < 1


def test_nobody_told_is_a_failure(person: OnCall, cluster: Cluster) -> None:
    began = person.fault_begins("Redis hangs", at=time.time() - 50).at
    cluster.fires("CRMDown", pending_since=began + 30)
    cluster.says(f"CRITICAL: CRMDown in {NAMESPACE}", "#crm-alerts", at=began + 33)  # the wrong channel
    cluster.says("CRITICAL: CRMDown in crm-staging", "#crm-outage", at=began + 33)
    cluster.says(f"CRITICAL: CRMDown in {NAMESPACE}", "#crm-outage", at=began - 1)  # of an earlier fault

    with pytest.raises(DrillFailed, match="a message about CRMDown in #crm-outage"):
        person.wait_for_alert("CRMDown")


def test_an_alert_that_is_pending_or_anothers_does_not_fire(person: OnCall, cluster: Cluster) -> None:
    person.fault_begins("Redis hangs")
    cluster.fires("CRMDown", pending_since=time.time())
    cluster.alerts[0]["state"] = "pending"
    cluster.fires("RedisDown", pending_since=time.time())

    with pytest.raises(DrillFailed, match=r"CRMDown to fire within 1[45]. s"):
        person.wait_for_alert("CRMDown")


def test_windows_are_alerts_of_their_own(person: OnCall, cluster: Cluster) -> None:
    person.fault_begins("every answer is a 500")
    cluster.fires("AvailabilityBudgetBurn", pending_since=time.time(), long="6h")

    person.wait_for_alert("AvailabilityBudgetBurn 6h", inhibited=True)
    with pytest.raises(DrillFailed, match="AvailabilityBudgetBurn 1h to fire"):
        person.wait_for_alert("AvailabilityBudgetBurn 1h", inhibited=True)


def test_people_are_called_one_after_the_other(person: OnCall, cluster: Cluster) -> None:
    began = person.fault_begins("Redis hangs", at=time.time() - 100).at
    title = f"CRITICAL: CRMDown in {NAMESPACE}"
    cluster.fires("CRMDown", pending_since=began + 9)
    cluster.says(title, "#crm-outage", at=began + 11)
    for number, wait in enumerate((0, 15, 30, 60), start=1):
        cluster.mails(title, f"level-{number}@crm.localhost", at=began + 11 + wait)
    person.wait_for_alert("CRMDown")
    person.wait_for_escalation("CRMDown")

    cluster.messages[-1]["at"] -= 40
    with pytest.raises(
        DrillFailed, match=r"no e-mail to level-4@crm.localhost before 60 s; found one after 2"
    ):
        person.wait_for_escalation("CRMDown")


def test_what_came_since_then_is_named_by_its_rules(person: OnCall, cluster: Cluster) -> None:
    cluster.says(f"WARNING: RolloutStuck in {NAMESPACE}", "#crm-alerts", at=5)
    cluster.says(f"CRITICAL: BeatSilent in {NAMESPACE}", "#crm-outage", at=20)
    cluster.says(f"Over: RolloutStuck in {NAMESPACE}", "#crm-alerts", at=21)
    cluster.messages.append({"at": 20, "by": "heartbeat", "to": "heartbeat", "body": {}})

    assert person.notified_of(0) == {"RolloutStuck", "BeatSilent"}
    assert person.notified_of(10) == {"BeatSilent"}


def test_commands_run_as_they_stand_on_the_page(
    person: OnCall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "X.md"
    page.write_text(
        "# X\n\n## Meaning\n\nOdd.\n\n## Diagnosis\n\nLook:\n\n    echo seen\n    echo nothing | grep something\n"
        "\n## Mitigation\n\nDo:\n\n    echo sha256:… > done.txt\n\n    false\n\n## Later\n\n    never\n"
    )
    monkeypatch.setattr(generated, "RUNBOOKS", tmp_path)
    monkeypatch.setattr(OnCall, "desk", lambda _: tmp_path)

    person.diagnose("X")
    person.mitigate("X", "echo", **{"sha256:…": "sha256:abc"})
    assert (tmp_path / "done.txt").read_text() == "sha256:abc\n"
    assert "$ echo seen\nseen" in (tmp_path / "on-call.txt").read_text()
    with pytest.raises(DrillFailed, match="'false' to end with status 0; found status 1"):
        person.mitigate("X", "false")
    with pytest.raises(DrillFailed, match=r"one command 'never' in X.md; found 0"):
        person.mitigate("X", "never")
    page.write_text("## Diagnosis\n\n    true\n")
    with pytest.raises(DrillFailed, match=r"a command of X.md to print something"):
        person.diagnose("X")


# --- the drills themselves, without a cluster

_CODE = (
    inspect.getsource(alerts)
    .replace("_SWITCH)", '"DeadMansSwitch")')
    .replace("_SWITCH,", '"DeadMansSwitch",')
)


def test_every_alert_has_its_drill() -> None:
    heard = set(re.findall(r'\.(?:wait_for_alert|respond_to)\(\s*"([^"]+)"', _CODE))
    burns = set(re.findall(r'_burns\(on_call, "(\w+)"', _CODE))
    heard |= {name for rule in burns for name in alerts._windows(rule)[1:]}
    heard |= {"DeadMansSwitch"} if "wait_for_missing_heartbeat" in _CODE else set()

    assert heard == set(known())


def test_every_command_of_a_drill_stands_on_its_page_once() -> None:
    wanted = re.findall(r'\.(?:mitigate|respond_to)\(\s*"(\w+)",\s*"([^"]+)"', _CODE)

    assert len(wanted) > 15
    for rule, start in wanted:
        assert [start in each for each in page_commands(rule, "Mitigation") if each.startswith(start)] == [
            True
        ], rule


def test_every_page_that_a_drill_opens_has_commands() -> None:
    opened = set(re.findall(r'\.(?:diagnose|respond_to)\(\s*"(\w+)"', _CODE)) | {
        "WorkerLost",
        "QueueTooLong",
        "QueueTooOld",
    }

    assert opened == {each.rule for each in known().values()}
    assert all(page_commands(rule, "Diagnosis") for rule in opened)


def test_the_receiver_runs_without_rights_and_no_secret_is_in_its_configuration() -> None:
    made = yaml.safe_load_all(inbox.manifests("registry/delivery@sha256:abc"))
    kinds = {each["kind"]: each for each in made}

    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["image"] == "registry/delivery@sha256:abc"
    secret = kinds["Secret"]["stringData"]
    assert secret["dead-mans-switch-token"] not in secret["alertmanager.yaml"]
    assert "http://receiver.monitoring.svc/heartbeat" in secret["alertmanager.yaml"]
    assert (local_cluster.CHECKOUT / "monitoring/receiver.py").read_text() == kinds["ConfigMap"]["data"][
        "receiver.py"
    ]


def test_the_inbox_asks_only_for_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [{"at": at, "by": "deliveries", "body": {"text": f"*release {at}*\nmore"}} for at in (1.0, 2.0)]
    asked: list[int] = []

    def since(after: int) -> list[dict[str, Any]]:
        asked.append(after)
        return there[after:]

    monkeypatch.setattr(inbox, "_asked", since)
    box = inbox.Inbox()

    assert box.deliveries(since=2.0) == ["release 2.0"]
    there.append({"at": 3.0, "by": "heartbeat", "body": {}})
    assert len(box.messages()) == 3
    assert box.deliveries(since=0) == ["release 1.0", "release 2.0"]
    assert asked == [0, 2, 3]
