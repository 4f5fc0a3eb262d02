"""The load generator as a process, with a stand-in for vegeta: its arguments, how it ends, what is read."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drills.errors import DrillFailed, NotReady
from drills.fixtures import local_cluster
from drills.load.results import SCANNER
from drills.load.scanners import Scanners, unknown_paths
from drills.load.traffic import RunningTraffic, Traffic, traffic
from drills.load.users import Api, User

# Sends nothing: writes its arguments down and waits for the signal that ends a load; prints rows when asked to encode.
STAND_IN = """#!{python}
import json, pathlib, signal, sys, time
words = dict(word.lstrip("-").split("=", 1) for word in sys.argv[2:] if "=" in word)
if sys.argv[1] == "encode":
    print("1800000000000000000,200,1000000,0,0,,,,0,GET,http://x,")
    sys.exit()
pathlib.Path(words["output"] + ".json").write_text(json.dumps(words))
if words["rate"] == "13/s":
    sys.exit("no luck")
if words["rate"] == "99/s":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
else:
    signal.signal(signal.SIGINT, lambda *_: sys.exit())
pathlib.Path(words["output"]).touch()
time.sleep(20)
"""


@pytest.fixture(autouse=True)
def vegeta(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    program = tmp_path / "bin" / "vegeta"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setattr("drills.load.traffic._IDLE", {})
    # A shell starts what runs in the background with SIGINT ignored; the stand-in would do so until Python has started.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def started(tmp_path: Path, rate: int = 100, longest: float = 60.0) -> RunningTraffic:
    return RunningTraffic(rate, longest, tmp_path / "targets.json", tmp_path / "requests.bin")


def until_it_runs(tmp_path: Path) -> None:
    deadline = time.monotonic() + 10
    while not (tmp_path / "requests.bin").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_load_runs_until_it_is_stopped_and_is_read_once(tmp_path: Path) -> None:
    load = started(tmp_path)
    until_it_runs(tmp_path)
    load.check()

    record = load.stop()

    assert len(record) == 1
    assert load.stop() is record
    load.check()  # ended because it was stopped
    arguments = json.loads((tmp_path / "requests.bin.json").read_text(encoding="utf-8"))
    assert {key: arguments[key] for key in ("rate", "duration", "timeout")} == {
        "rate": "100/s",
        "duration": "60s",
        "timeout": "30s",
    }


def test_a_load_that_ends_by_itself_fails_the_drill(tmp_path: Path) -> None:
    load = started(tmp_path, rate=13)
    load._process.wait(10)

    with pytest.raises(DrillFailed, match=r"ended after \d+ s \(status 1; its limit was 60 s\)\. no luck"):
        load.check()


def test_a_load_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = started(tmp_path, rate=99)
    until_it_runs(tmp_path)
    waited: list[float | None] = []
    wait = load._process.wait

    def hurried(timeout: float | None = None) -> int:
        waited.append(timeout)
        return wait(0.05 if timeout else None)

    monkeypatch.setattr(load._process, "wait", hurried)

    assert len(load.stop()) == 1
    assert waited == [35.0, 5.0, None]
    assert load._process.returncode == -9


def test_requests_are_counted_by_the_clock_up_to_the_limit(tmp_path: Path) -> None:
    load = started(tmp_path, longest=10.0)
    load.started_at = time.time()
    assert load.sent() == 0
    load.started_at -= 5.5
    assert 490 <= load.sent() <= 600
    load.started_at -= 100
    assert load.sent() == 1000
    load.stop()


def user(signed_in_for: float) -> User:
    class Known(User):
        @property
        def signed_in_until(self) -> float:
            return time.time() + signed_in_for

    return Known("a.b.c", 1, (1, 2, 3), 4, (1, 2), "r")


def test_the_load_ends_before_its_users_are_signed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Api, "new_user", lambda *_: user(signed_in_for=300))

    load = traffic(rate=50).start("dev", tmp_path)
    until_it_runs(tmp_path)
    load.stop()

    assert 230 < load.longest <= 240
    first = (tmp_path / "targets.json").read_text(encoding="utf-8").splitlines()[0]
    assert json.loads(first)["header"]["Host"] == ["api.dev.localhost"]


def test_the_usual_load_is_what_rate_says_when_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Api, "new_user", lambda *_: user(signed_in_for=300))
    usual, other = traffic(), traffic(10)
    monkeypatch.setenv("RATE", "20")

    loads = [each.start("dev", tmp_path) for each in (usual, other)]
    for load in loads:
        load.stop()

    assert [load.rate for load in loads] == [20, 10]


def test_users_who_are_signed_out_soon_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Api, "new_user", lambda *_: user(signed_in_for=50))

    with pytest.raises(NotReady, match="end within a minute"):
        Traffic().start("dev", tmp_path)


@pytest.fixture
def came(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each user came, to be added to; whoever is new is let in."""
    found: list[str] = []

    def new(*_: object) -> User:
        found.append("new")
        return user(signed_in_for=300)

    monkeypatch.setattr(Api, "new_user", new)
    return found


def test_users_of_a_load_that_has_ended_sign_in_again_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, came: list[str]
) -> None:
    def back(_: Api, known: User) -> User:
        came.append("back")
        return known

    monkeypatch.setattr(Api, "renew", back)

    first, beside = traffic(10).start("dev", tmp_path), traffic(10).start("dev", tmp_path / "beside")
    assert came == ["new"] * 8  # nobody sends two loads
    first.stop()
    traffic(10).start("staging", tmp_path / "other").stop()
    assert came == ["new"] * 12
    traffic(10).start("dev", tmp_path / "next").stop()
    assert came == ["new"] * 12 + ["back"] * 4
    beside.stop()


def test_whoever_is_forgotten_by_a_new_database_registers_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, came: list[str]
) -> None:
    def refused(*_: object) -> User:
        raise NotReady("answered 401")

    monkeypatch.setattr(Api, "renew", refused)

    traffic(10).start("dev", tmp_path).stop()
    traffic(10).start("dev", tmp_path).stop()

    assert came == ["new"] * 8


def test_scanners_ask_each_for_another_path_and_have_no_account(tmp_path: Path, came: list[str]) -> None:
    Scanners(24).start("dev", tmp_path / "scanners").stop()

    assert came == []
    lines = (tmp_path / "scanners" / "targets.json").read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line) for line in lines]
    assert asked == unknown_paths(local_cluster.HTTP, "api.dev.localhost", len(lines))
    paths = {target["url"] for target in asked}
    assert len(paths) == len(asked) == 4000
    assert all(path.endswith(f"#{SCANNER}") for path in paths)
    assert {tuple(target["header"]) for target in asked} == {("Host",)}
