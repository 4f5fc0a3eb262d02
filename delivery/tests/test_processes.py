"""Programs end in time, with whomever they have started, and say so much and no more."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from delivery import processes
from delivery.conftest import wait_for
from delivery.processes import Late, run


def test_what_a_program_says_and_how_it_ends() -> None:
    done = run(["sh", "-c", "cat; echo no >&2; exit 3"], seconds=10, most=100, given=b"given")
    assert (done.status, done.output, done.errors, done.cut) == (3, b"given", b"no\n", False)


def test_who_is_late_is_ended_with_all_children(tmp_path: Path) -> None:
    """Also one that does not listen."""
    program = f"trap '' TERM; sleep 1000 & echo $! > {tmp_path}/child; wait; wait"
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "_GRACE_SECONDS", 0.1)
        with pytest.raises(Late, match=r"did not end within 0\.5 s"):
            run(["sh", "-c", program], seconds=0.5, most=100)
    assert time.monotonic() - began < 5
    child = Path("/proc") / (tmp_path / "child").read_text().strip()
    wait_for(lambda: not child.exists() or "\nState:\tZ" in (child / "status").read_text())


def test_who_never_stops_talking_is_cut() -> None:
    done = run(["yes"], seconds=10, most=1001)
    assert (len(done.output), done.cut) == (1001, True)


def test_who_reads_nothing_of_what_it_is_given_may_end() -> None:
    assert run(["true"], seconds=10, most=100, given=b"x" * 1_000_000).status == 0


def test_somebody_left_behind_on_purpose_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Git's credential cache is."""
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 0.1)
    program = "import subprocess; subprocess.Popen(['sleep', '3'], stdout=subprocess.DEVNULL); print('done')"
    began = time.monotonic()
    assert run([sys.executable, "-c", program], seconds=30, most=100).output == b"done\n"
    assert time.monotonic() - began < 2.5


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        run(["no-such-program"], seconds=10, most=100)
