"""What schemathesis makes of the document."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from pipeline.fuzz.answers import Answers, strangers_in
from pipeline.fuzz.people import Caller
from pipeline.openapi import FILE as DOCUMENT

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = 25
"""For each operation, after those that the document's limits ask for."""
# Not asked: whether all that fits the document is taken, and all else refused. References to what is not there fit it,
# and a number is taken where a text is expected.
UNASKED = "positive_data_acceptance,negative_data_rejection"
# Who signs up, in or on is not asked who they are, and each try hashes a password: nobody tries for all.
ONLY_NOBODY = "^/api/v1/auth/(register|token)/"
FINE, FAILURES = 0, 1  # exit statuses


def asked(caller: Caller, address: str, seed: int, folder: Path) -> Answers:
    """What the caller was answered. Raises CalledProcessError if schemathesis itself fails."""
    reports = {kind: folder / f"{caller.name}.{kind}" for kind in ("json", "har")}
    command = ["st", f"--config-file={CONFIGURATION}", "--no-color", "run", str(DOCUMENT), f"--url={address}"]
    command += [f"--seed={seed}", f"--max-examples={EXAMPLES}", f"--exclude-checks={UNASKED}"]
    command += ["--continue-on-failure", "--no-shrink", "--warnings=off", "--generation-database=none"]
    command += ["--phases=coverage,fuzzing,stateful", "--request-timeout=30", "--report=json,har"]
    command += [f"--report-{kind}-path={path}" for kind, path in reports.items()]
    command += [f"--header={name}: {value}" for name, value in caller.headers.items()]
    command += [f"--exclude-path-regex={ONLY_NOBODY}"] if caller.headers else []
    # It keeps what it has found where it runs.
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode not in (FINE, FAILURES):
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    found = Answers()
    report = json.loads(reports["json"].read_text(encoding="utf-8"))
    found.operations = report["operations"]["tested"]
    for entry in json.loads(reports["har"].read_text(encoding="utf-8"))["log"]["entries"]:
        request, response = entry["request"], entry["response"]
        found.requests += 1
        found.server_errors += response["status"] >= 500  # noqa: PLR2004
        if strangers := strangers_in(caller, response["status"], response["content"].get("text", "")):
            found.violations.append(f"{caller.name}: {request['method']} {request['url']} shows {strangers}")
    if done.returncode == FAILURES:
        _, _, failures = done.stdout.partition("\n===")
        found.violations.append(f"As {caller.name}:\n==={failures}")
    return found
