import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import paths, processes, shell
from cluster.errors import ClusterError
from cluster.waiting import until

# A daemon is meant to outlive the Python object that started it.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    for record in paths.RUN.glob("*.json"):
        processes.stop(record.stem)


def started(name: str = "napper", *command: str) -> int:
    processes.start(name, command or ("sleep", "300"))
    return int(json.loads((paths.RUN / f"{name}.json").read_text())["pid"])


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and not processes._zombie(pid)


def test_a_program_runs_until_it_is_stopped() -> None:
    assert not processes.running("napper")
    pid = started()
    assert processes.running("napper")
    assert alive(pid)
    processes.stop("napper")
    assert not processes.running("napper")
    assert not alive(pid)
    assert not (paths.RUN / "napper.json").exists()


def test_a_program_that_runs_is_not_started_again() -> None:
    assert started() == started()


def test_a_program_that_has_died_is_started_again() -> None:
    first = started()
    os.kill(first, signal.SIGKILL)
    until(lambda: not processes.running("napper"), what="its death", seconds=5, every=0.01)
    assert started() != first
    assert processes.running("napper")


def test_a_program_survives_the_terminal_and_writes_to_its_log() -> None:
    processes.start("talker", ["sh", "-c", 'echo "$WORD"; exec sleep 300'], env={"WORD": "hello"})
    pid = int(json.loads((paths.RUN / "talker.json").read_text())["pid"])
    assert os.getsid(pid) == pid
    until(lambda: "hello" in shell.log_file("talker").read_text(), what="a word", seconds=5, every=0.01)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ClusterError, match=r"^no-such is not installed; "):
        processes.start("napper", ["no-such", "x"])
    assert not processes.running("napper")


def test_stopping_what_does_not_run_changes_nothing() -> None:
    processes.stop("napper")


def test_a_process_id_that_now_belongs_to_somebody_else_is_neither_ours_nor_ended() -> None:
    paths.RUN.mkdir()
    with subprocess.Popen(["sleep", "300"]) as stranger:
        try:
            record = {"pid": stranger.pid, "born": "1"}
            (paths.RUN / "napper.json").write_text(json.dumps(record))
            assert not processes.running("napper")
            processes.stop("napper")
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.parametrize("text", ["", "{", '{"pid": 999999999, "born": "1"}'])
def test_a_record_that_names_no_process_means_that_nothing_runs(text: str) -> None:
    paths.RUN.mkdir()
    (paths.RUN / "napper.json").write_text(text)
    assert not processes.running("napper")
    processes.stop("napper")
    assert not (paths.RUN / "napper.json").exists()


def test_a_zombie_does_not_run_and_is_not_waited_for() -> None:
    pid = started()
    os.kill(pid, signal.SIGKILL)
    until(lambda: processes._zombie(pid), what="a zombie", seconds=5, every=0.01)
    assert not processes.running("napper")
    before = time.monotonic()
    processes.end([pid], grace=5)
    assert time.monotonic() - before < 1


def test_a_program_with_a_confusing_name_is_recognised(tmp_path: Path) -> None:
    # In /proc/<pid>/stat the name stands in parentheses, as it is.
    odd = tmp_path / "a) Z 1 ("
    shutil.copy2(str(shutil.which("sleep")), odd)
    processes.start("odd", [odd, "300"])
    assert processes.running("odd")


def test_a_stubborn_process_is_killed_after_its_grace() -> None:
    ready = paths.CACHE / "ready"
    pid = started("stubborn", "sh", "-c", f"trap '' TERM; touch {ready}; while :; do sleep 0.05; done")
    until(ready.exists, what="the trap", seconds=5, every=0.01)
    before = time.monotonic()
    processes.end([pid], grace=0.3)
    assert time.monotonic() - before >= 0.3
    assert not alive(pid)


def test_a_process_that_goes_by_itself_is_not_killed() -> None:
    said, ready = paths.CACHE / "said", paths.CACHE / "ready"
    script = f"trap 'echo bye > {said}; exit' TERM; touch {ready}; while :; do sleep 0.05; done"
    pid = started("polite", "sh", "-c", script)
    until(ready.exists, what="the trap", seconds=5, every=0.01)
    processes.end([pid], grace=5)
    assert said.read_text() == "bye\n"


def test_ending_processes_that_are_gone_is_no_error() -> None:
    processes.end([999_999_999], grace=0.1)


def test_processes_are_found_by_all_words_of_their_command_line() -> None:
    pid = started("napper", "sleep", "300.125")
    assert processes.with_words("sleep", "300.125") == [pid]
    assert processes.with_words("sleep", "300.125", "other") == []


def test_the_asking_process_does_not_find_itself() -> None:
    words = Path("/proc/self/cmdline").read_bytes().decode().split("\0")
    assert os.getpid() not in processes.with_words(words[0])
    assert os.getpid() in [pid for pid, _ in processes.command_lines()]
