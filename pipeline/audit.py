"""`python -m pipeline.audit LOCK…`: are vulnerabilities known of what the locks pin?

pip-audit asks the package index. Where that knows of none because it is a mirror without such data, nothing has been
checked, and that is said; in CI (variable CI) it fails as well, because there a pass means that it was checked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import Refuses, gate

PIP_AUDIT = Path(".venv/scan/bin/pip-audit")


@gate("audit")
def main(locks: Sequence[str]) -> int:
    found = [each for lock in locks for each in report(lock)]
    print(f"audit: {judged(found, in_ci=bool(os.environ.get('CI')))}")
    return 0


def report(lock: str) -> list[dict[str, Any]]:
    """What pip-audit found of each package of a lock. Raises Refuses if it found nothing out."""
    options = ["--format=json", "--progress-spinner=off", "--disable-pip", "--no-deps"]
    done = subprocess.run(
        [str(PIP_AUDIT), *options, f"--requirement={lock}"], capture_output=True, text=True, check=False
    )
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, LookupError) as error:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Refuses(f"pip-audit could not look at {lock}: {last}") from error
    return found


def judged(found: Sequence[dict[str, Any]], *, in_ci: bool) -> str:
    """What to tell about a report. Raises Refuses for a vulnerability, and in CI for what was not checked."""
    bad = [
        f"{each['name']} {each['version']} ({', '.join(vuln['id'] for vuln in each['vulns'])})"
        for each in found
        if each.get("vulns")
    ]
    if bad:
        raise Refuses(f"Vulnerabilities are known of {'; '.join(bad)}: take newer versions with make locks.")
    unknown = [each["name"] for each in found if each.get("skip_reason")]
    if unknown:
        sentence = (
            f"NOT CHECKED: the package index tells no vulnerabilities of {len(unknown)} of {len(found)} packages"
            f" ({', '.join(unknown[:3])}, …)."
        )
        if in_ci:
            raise Refuses(f"{sentence} In CI that is a failure: let pip reach an index that does.")
        return sentence
    return f"no vulnerability is known of {len(found)} packages."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
