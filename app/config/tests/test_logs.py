"""What the processes of the CRM write: nothing that is private, and an answer to each question of docs/logs.md."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from config.tests.test_processes import Web, environment, web_in
from crm.authentication.models import User
from crm.deals.models import Pipeline, Stage
from testing.ports import free_port
from testing.processes import Role

pytestmark = [pytest.mark.security, pytest.mark.slow]

PAGE = Path(__file__).resolve().parents[3] / "docs/logs.md"
PASSWORD = "correct horse battery staple"
PRIVATE = {
    "dora@example.com": "an e-mail address",
    PASSWORD: "a password",
    "Dora the Explorer": "a contact's name",
    "+49 30 901820": "a telephone number",
    "A secret plan": "a deal's title",
    "eyJ": "a token",
    "Bearer": "a token's header",
}
QUESTIONS = re.findall(
    r"^(\d+)\. (.+?)\n\n +(kubectl logs [^\n]+)$", PAGE.read_text(), re.MULTILINE | re.DOTALL
)


def lines_of(log: Path) -> list[Any]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


@pytest.mark.django_db(transaction=True)
def test_the_log_of_a_busy_day(tmp_path: Path, alice: User, sales: Pipeline) -> None:
    """Dora registers, signs in, writes down whom she knows and wins a deal; somebody guesses passwords and paths."""
    ports = {
        "WORKER_CONCURRENCY": "1",
        "METRICS_PORT": str(free_port()),
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": "1",
    }
    with (
        web_in(tmp_path) as web,
        Role("worker", environment(tmp_path) | ports, tmp_path / "worker.log") as worker,
    ):
        worker.wait_until((tmp_path / "worker-ready").exists)
        _busy_day(web, alice, sales)
        worker.wait_until(lambda: "was not sent" in worker.output())
        # Of the registration and of the deal: one that is stopped while it runs a task takes its whole time to stop.
        worker.wait_until(lambda: worker.output().count("succeeded in") == 2)
    everything = (tmp_path / "web.log").read_text() + (tmp_path / "worker.log").read_text()
    for text, what in PRIVATE.items():
        assert text not in everything, f"the log has {what}"

    requests = [line for line in lines_of(tmp_path / "web.log") if line["logger"] == "crm.request"]
    assert {(line["version"], line["role"]) for line in requests} == {("1.2.3", "web")}
    [won] = [line for line in requests if line["request_id"] == "the-request"]
    assert (won["endpoint"], won["status"], won["user"]) == ("deals-list", 201, alice.pk)
    assert won["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert won["milliseconds"] > 0
    [stranger] = [line for line in requests if line["endpoint"] == "unmatched"]
    assert stranger["path"] is None

    assert [int(number) for number, _, _ in QUESTIONS] == list(range(1, 11))
    both = {
        "name": everything,
        "web": (tmp_path / "web.log").read_text(),
        "worker": (tmp_path / "worker.log").read_text(),
    }
    answers = {int(number): _answered(command, both, tmp_path, alice) for number, _, command in QUESTIONS}
    assert {json.loads(line)["role"] for line in answers[1].splitlines()} == {"web", "worker"}
    assert answers[2] == "", "nothing failed"
    assert answers[3] == ""
    slowest = [json.loads(line)[0] for line in answers[4].splitlines()]
    assert slowest == sorted(slowest, reverse=True)
    assert len(slowest) == len(requests)
    assert '["POST","/api/v1/deals/",201]' in re.sub(r'"[^"]*Z?\+00:00",', "", answers[5])
    assert "1.2.3 201" in answers[6]
    assert answers[7].split() == ["2", "auth-token"]
    assert "crm.notifications.tasks.send_email succeeded" in answers[8]
    assert "was not sent" in answers[9]
    assert len(answers[10].splitlines()) == len(lines_of(tmp_path / "web.log"))


def _busy_day(web: Web, alice: User, sales: Pipeline) -> None:
    dora = {"username": "dora", "email": "dora@example.com", "password": PASSWORD}
    assert web.ask("/api/v1/auth/register/", "POST", dora).status == 201
    for password, status in (("guessed", 401), ("guessed again", 401), (PASSWORD, 200)):
        answer = web.ask("/api/v1/auth/token/", "POST", {"username": "dora", "password": password})
        assert answer.status == status
    contact = {
        "first_name": "Dora the Explorer",
        "last_name": "X",
        "email": "dora@example.com",
        "phone": "+49 30 901820",
    }
    assert web.ask("/api/v1/contacts/", "POST", contact, user=alice).status == 201
    assert web.ask("/api/v1/contacts/?search=dora@example.com", user=alice).status == 400
    assert web.ask("/users/dora@example.com/").status == 404
    won = Stage.objects.get(pipeline=sales, is_won=True)
    deal = {"title": "A secret plan", "pipeline": sales.pk, "stage": won.pk, "amount": "9"}
    named = {
        "X-Request-ID": "the-request",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    assert web.ask("/api/v1/deals/", "POST", deal, user=alice, headers=named).status == 201


def _answered(command: str, logs: dict[str, str], folder: Path, alice: User) -> str:
    """The command of the page with a file in the place of the cluster's pods."""
    assert shutil.which("jq"), "jq is not on PATH; `make servers` installs it"
    match = re.match(
        r"kubectl logs -n crm-production -l app\.kubernetes\.io/(name=crm|component=(web|worker)) [^|]*\|",
        command,
    )
    assert match, command
    file = folder / "asked.log"
    file.write_text(logs[match[2] or "name"])
    rest = command[match.end() :].replace("select(.user == 1)", f"select(.user == {alice.pk})")
    run = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"cat {file} | {rest}"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"{command}: {run.stderr}{file.read_text()[-3000:]}"
    return run.stdout
