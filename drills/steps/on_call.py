"""Whoever is on call in a drill: is notified of an alert, opens its runbook, and runs the commands there.

on_call.fault_begins("Redis hangs")
on_call.wait_for_alert("RedisDown")
on_call.diagnose("RedisDown")
on_call.mitigate("RedisDown", "kubectl rollout restart statefulset redis")
on_call.wait_for_end("RedisDown")
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from cluster import addresses
from delivery.kubernetes.limits import VERDICT
from drills.errors import NotReady
from drills.fixtures import inbox, local_cluster
from drills.load.slow_clients import repeatedly
from drills.load.traffic import RunningTraffic
from drills.observe.snapshot import Snapshot
from drills.report.result import AlertResult
from drills.steps.duration import minutes, seconds
from drills.steps.environment import Environment
from drills.steps.given import Given
from monitoring import generated
from monitoring.alerts import Alert, alerts
from monitoring.objectives import LEVELS
from monitoring.objectives import seconds as seconds_of

_TIMEOUT_SECONDS = 10
_FIRST_ERROR = 500
# A command of a runbook: of kubectl and grep the latter may find nothing.
_COMMAND_SECONDS = 180
_NOTHING_FOUND = 1
_HEARTBEAT_SECONDS = 20
# A fault may have begun a moment before the drill saw it.
_EARLIER_SECONDS = 5
_ALERT = re.compile(r"(?P<state>CRITICAL|WARNING|Over): (?P<rule>\w+) in ")
_CHANNELS = {"critical": "#crm-outage", "warning": "#crm-alerts"}
OVER_WITHIN = minutes(10)


@dataclass(frozen=True)
class Fault:
    """Something that the drill breaks: when, in seconds since 1970, and what, as a sentence without its full stop."""

    at: float
    what: str


@dataclass
class SeenAlert:
    alert: Alert
    fault: Fault
    fired_at: float
    notified_at: float | None


@dataclass
class OnCall:
    environment: Environment
    given: Given
    time_scale: float = inbox.TIME_SCALE
    _fault: Fault | None = None
    _seen: dict[str, SeenAlert] = field(default_factory=dict)
    _ended: tuple[float, str] = (0.0, "")

    # --- what happens

    def wait_for_heartbeat(self) -> None:
        """A heartbeat comes: notifications work all the way from Prometheus to people."""
        self.environment.wait_until(
            lambda _: time.time() - self._last_heartbeat() < _HEARTBEAT_SECONDS, minutes(3), "a heartbeat"
        )

    def fault_begins(self, what: str, *, at: float | None = None) -> Fault:
        """A fault begins now, or began then."""
        self.environment.log_action(what)
        self._fault = Fault(at or time.time(), what)
        return self._fault

    def wait_for_alert(self, name: str, *, of: Fault | None = None, inhibited: bool = False) -> None:
        """The alert fires, and a notification comes, within the time that is promised from the fault on.

        `inhibited`: another alert of the same fault says more, so this one needs no notification.
        """
        alert, fault = known()[name], of or self._newest_fault()
        promised = alert.promised(time_scale=self.time_scale)
        left = seconds(max(fault.at + promised - time.time(), 0))
        # One that fires already has another cause.
        since = fault.at - _EARLIER_SECONDS
        self.environment.wait_until(lambda _: self.firing().get(name, 0.0) > since, left, f"{name} to fire")
        # Pending since then; it is evaluated every few seconds, and so long it waits.
        fired_at = self.firing()[name] + math.ceil(seconds_of(alert.waits) / self.time_scale)
        notified_at = None if inhibited else self._notified_at(alert, fault, promised)
        self._seen[name] = SeenAlert(alert, fault, fired_at, notified_at)
        notified = "inhibited" if notified_at is None else f"notified after {notified_at - fault.at:.0f} s"
        self.environment.log(f"{name} fired {fired_at - fault.at:.0f} s after the fault, {notified}")

    def wait_for_escalation(self, name: str) -> None:
        """Nobody acknowledges it: one person after the other gets an e-mail, none of them too early."""
        seen = self._seen[name]
        status = seen.alert.severity.upper()
        waits = [seconds_of(level) / self.time_scale for level in LEVELS]
        for person, wait in zip(inbox.RECIPIENTS, waits, strict=True):

            def has_mail(_: Snapshot, person: str = person) -> bool:
                return bool(self._messages(status, seen.alert, seen.fault.at, to=person))

            self.environment.wait_until(has_mail, seconds(wait + 30), f"an e-mail about {name} to {person}")
            took = self._messages(status, seen.alert, seen.fault.at, to=person)[0] - seen.fired_at
            if took < wait - 2:  # Prometheus evaluates every two seconds
                self.environment.fail(f"no e-mail to {person} before {wait:.0f} s", f"one after {took:.0f} s")
            self.environment.log(f"{person} has an e-mail {took:.0f} s after {name} fired")

    def diagnose(self, rule: str, *, without: Sequence[str] = ()) -> None:
        """Every command of the runbook's diagnosis ends with status 0, and at least one prints something.

        `without`: words of commands that need what the local cluster does not have.
        """
        commands = page_commands(rule, "Diagnosis")
        printed = [self._run(each) for each in commands if not any(word in each for word in without)]
        if not any(printed):
            self.environment.fail(f"a command of {rule}.md to print something", "nothing")

    def mitigate(self, rule: str, start: str, **words: str) -> None:
        """The one command of the runbook's mitigation that begins so; `words` fill in what it leaves open."""
        found = [each for each in page_commands(rule, "Mitigation") if each.startswith(start)]
        if len(found) != 1:
            self.environment.fail(f"one command {start!r} in {rule}.md", f"{len(found)}")
        command = found[0]
        for word, value in words.items():
            command = command.replace(word, value)
        self.environment.log_action(command)
        self._ended = (time.time(), found[0])
        self._run(command)

    def respond_to(self, rule: str, start: str, **words: str) -> None:
        """The alert fires, its runbook's diagnosis and the mitigation that begins so are run, and it fires no more."""
        self.wait_for_alert(rule)
        self.diagnose(rule)
        self.mitigate(rule, start, **words)
        self.wait_for_end(rule)

    def fault_ends(self, what: str) -> None:
        """What ends the fault where no command of the runbook does."""
        self.environment.log_action(what)
        self._ended = (time.time(), what)

    def wait_for_end(self, *names: str, within: timedelta = OVER_WITHIN) -> None:
        """The alerts fire no more, and whoever was notified of them is notified of that as well."""
        at, _ = self._ended
        over: dict[str, float] = {}

        def are_over(_: Snapshot) -> bool:
            firing = self.firing()
            for name in names:
                if name not in firing:
                    over.setdefault(name, time.time())
                else:  # between two causes it may have been over for a moment
                    over.pop(name, None)
            return len(over) == len(names)

        self.environment.wait_until(are_over, within, f"{' and '.join(names)} to be over")
        for name in names:
            seen = self._seen[name]
            if seen.notified_at is not None:
                self.environment.wait_until(
                    lambda _, seen=seen: self._messages("Over", seen.alert, at) != [],  # type: ignore[misc]
                    minutes(1),
                    f"a message that {name} is over",
                )
            self._measure(seen, over[name])

    def wait_for_missing_heartbeat(self, *, for_seconds: float) -> None:
        """The dead man's switch stays away for so long: whoever waits for it would call."""
        fault, alert = self._newest_fault(), known()["DeadMansSwitch"]

        def silent(_: Snapshot) -> bool:
            return time.time() - max(fault.at, self._last_heartbeat()) > for_seconds

        self.environment.wait_until(
            silent, seconds(alert.promised(time_scale=self.time_scale)), "no heartbeat any more"
        )
        self._seen[alert.name] = SeenAlert(alert, fault, time.time(), None)
        self.environment.log(
            f"the last heartbeat came {self._last_heartbeat() - fault.at:.0f} s after the fault"
        )

    def wait_for_heartbeat_again(self) -> None:
        at, _ = self._ended
        self.environment.wait_until(lambda _: self._last_heartbeat() > at, minutes(3), "a heartbeat again")
        self._measure(self._seen["DeadMansSwitch"], self._last_heartbeat())

    def notified_of(self, since: float) -> set[str]:
        """The rules with a notification since then; heartbeats are left out, and ends, which began before."""
        titles = (_ALERT.match(title) for _, _, title in self._titles(since))
        return {found["rule"] for found in titles if found and found["state"] != "Over"}

    # --- what there is

    def firing(self) -> dict[str, float]:
        """The environment's alerts that fire now, and since when they are pending; none without an answer."""
        try:
            answer = httpx.get(f"{addresses.PROMETHEUS}/api/v1/alerts", timeout=_TIMEOUT_SECONDS)
            found = answer.raise_for_status().json()["data"]["alerts"]
        except httpx.HTTPError:
            return {}
        firing: dict[str, float] = {}
        for each in found:
            labels = each["labels"]
            if labels.get("namespace") == self.environment.namespace and each["state"] == "firing":
                name = " ".join(filter(None, (labels["alertname"], labels.get("long"))))
                since = datetime.fromisoformat(each["activeAt"]).timestamp()
                firing[name] = min(since, firing.get(name, since))
        return firing

    @contextmanager
    def user(self, *, every: float) -> Iterator[User]:
        """As long as this lasts, a user asks for the deals that often, in seconds."""
        user = User(self.environment)
        with repeatedly(user.ask, every=every):
            yield user

    @contextmanager
    def strangers(self, rate: int) -> Iterator[None]:
        """Strangers ask for the deals and are refused: as requests they count like all others."""
        environment = self.environment
        folder = environment.folder / "strangers"
        folder.mkdir(parents=True, exist_ok=True)
        targets = folder / "targets.json"
        host = {"Host": [local_cluster.api_host(environment.name)]}
        target = {"method": "GET", "url": _deals(environment), "header": host}
        targets.write_text(f"{json.dumps(target)}\n", encoding="utf-8")
        environment.log_action(f"{rate} strangers a second")
        # Not a part of the drill's record: a refusal is no answer that a user wants.
        load = RunningTraffic(rate, minutes(14).total_seconds(), targets, folder / "requests.bin")
        try:
            yield
        finally:
            load.stop()

    # --- how

    def _newest_fault(self) -> Fault:
        if self._fault is None:
            raise NotReady("A fault begins before its alert is waited for.")
        return self._fault

    def _measure(self, seen: SeenAlert, over_at: float) -> None:
        """Write down the times of an alert that is over."""
        (at, ended_by), fault, name = self._ended, seen.fault, seen.alert.name
        result = AlertResult(
            fault=fault.what,
            promised=round(seen.alert.promised(time_scale=self.time_scale), 1),
            fired=round(seen.fired_at - fault.at, 1),
            notified=None if seen.notified_at is None else round(seen.notified_at - fault.at, 1),
            ended_by=ended_by,
            over=round(max(over_at - at, 0.0), 1),
        )
        self.environment.log_alert(name, result, f"{name} was over {over_at - at:.0f} s later")

    def _notified_at(self, alert: Alert, fault: Fault, promised: float) -> float:
        """When the message came. Fails if it is later than promised."""
        left = seconds(max(fault.at + promised - time.time(), 0))
        status = alert.severity.upper()
        self.environment.wait_until(
            lambda _: bool(self._messages(status, alert, fault.at)),
            left,
            f"a message about {alert.name} in {_CHANNELS[alert.severity]}",
        )
        return self._messages(status, alert, fault.at)[0]

    def _messages(self, status: str, alert: Alert, since: float, *, to: str = "") -> list[float]:
        """When messages with that title came to the alert's channel, or as e-mails to somebody."""
        wanted = to or _CHANNELS[alert.severity], f"{status}: {alert.rule} in {self.environment.namespace}"
        return [at for at, *found in self._titles(since) if tuple(found) == wanted]

    def _titles(self, since: float) -> list[tuple[float, str, str]]:
        """When something came, to which channel or address, and its title; heartbeats are left out."""
        return [
            (each["at"], each["to"], _title(each))
            for each in self.environment.inbox.messages(since)
            if each["by"] != "heartbeat"
        ]

    def _last_heartbeat(self) -> float:
        heartbeats = (each for each in self.environment.inbox.messages() if each["by"] == "heartbeat")
        return max((each["at"] for each in heartbeats), default=0.0)

    def _run(self, command: str) -> str:
        """A runbook's command as typed at the desk; what it prints. Fails unless it ends with status 0."""
        environment = self.environment
        programs = local_cluster.CHECKOUT / ".venv" / "bin"
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.desk(),
            env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        with (environment.folder / "on-call.txt").open("a", encoding="utf-8") as log:
            log.write(f"$ {command}\n{done.stdout}{done.stderr}\n")
        found_nothing = "| grep" in command and done.returncode == _NOTHING_FOUND and not done.stderr
        if done.returncode and not found_nothing:
            environment.fail(
                f"{command!r} to end with status 0",
                f"status {done.returncode}: {(done.stderr or done.stdout).strip()}",
            )
        return done.stdout

    def desk(self) -> Path:
        """A clone of the repository, as somebody has who is on call."""
        desk = self.environment.folder / "desk"
        if not desk.exists():
            local_cluster.output(["git", "clone", "--quiet", local_cluster.GIT, str(desk)])
        local_cluster.output(["git", "-C", str(desk), "fetch", "--quiet"])
        return desk


@dataclass
class User:
    """Asks for the deals again and again, at a pace that no load generator goes down to."""

    environment: Environment
    first_failed_at: float | None = None
    """When an answer was a 5xx for the first time, or took longer than anybody waits."""

    def ask(self) -> None:
        host = {"Host": local_cluster.api_host(self.environment.name)}
        started = time.time()
        try:
            answer = httpx.get(_deals(self.environment), headers=host, timeout=_TIMEOUT_SECONDS)
            failed = answer.status_code >= _FIRST_ERROR or answer.elapsed.total_seconds() > VERDICT.slow
        except httpx.HTTPError:
            failed = True
        if failed and self.first_failed_at is None:
            self.first_failed_at = started


def _deals(environment: Environment) -> str:
    return f"{environment.url}/api/v1/deals/"


def _title(message: dict[str, Any]) -> str:
    """Of a message as the receiver took it down; empty for one of the status page."""
    body = message["body"]
    if message["by"] == "slack":
        return str(body["attachments"][0]["title"])
    if message["by"] == "email":
        found = re.search(r"^Subject: (.*)$", body, re.MULTILINE)
        return found.group(1).strip() if found else ""
    return ""


@cache
def known() -> dict[str, Alert]:
    """The alerts of the chart, by name."""
    return {
        each.name: each
        for each in alerts(path.read_text() for path in sorted(generated.RULES.glob("*.yaml")))
    }


def page_commands(rule: str, part: str) -> list[str]:
    """The commands under that heading of an alert's runbook."""
    text = (generated.RUNBOOKS / f"{rule}.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {part}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^    (\S.*)$", found.group(1), re.MULTILINE) if found else []
