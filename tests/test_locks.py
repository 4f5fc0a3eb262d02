"""The locks: complete, hash-pinned, and installed as they stand."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
LOCKS = sorted(path for path in CHECKOUT.glob("requirements/*.txt"))


def test_an_install_resolves_nothing_anew() -> None:
    """With `coverage==7.17.3` locked and `coverage[toml]` wanted by another, pip met 7.17.4 on the day it came out."""
    tracked = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    installs = [
        f"{name}: {line.strip()}"
        for name in tracked.stdout.splitlines()
        if not name.startswith("tests/") and (CHECKOUT / name).is_file()
        for line in (CHECKOUT / name).read_text(encoding="utf-8", errors="ignore").splitlines()
        if "--require-hashes" in line
    ]
    assert len(installs) >= 3
    assert [each for each in installs if "--no-deps" not in each] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_pins_whatever_is_asked_for(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    pinned = {_name(line) for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)}
    asked = {
        _name(line)
        for line in lock.with_suffix(".in").read_text(encoding="utf-8").splitlines()
        if re.match(r"[A-Za-z0-9]", line)
    }
    assert asked <= pinned
    assert text.count("==") == len(pinned)


def _name(line: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", line)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()
