"""Whatever somebody pushes to the branch `environments` concerns its own file, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from delivery.cli.main import main
from delivery.errors import Refused
from delivery.gitops import freeze, git, quarantine
from delivery.gitops.branch import fetch_existing
from delivery.guard.image_policy import ImagePolicy
from delivery.guard.log import Log
from delivery.guard.maintenance_loop import MaintenanceLoop
from delivery.guard.metrics import DeliveryMetrics
from delivery.guard.rollback_loop import RollbackLoop
from delivery.guard.tests.cluster import FakeCluster
from delivery.guard.tests.states import BAD, GOOD, aborted, not_let_in, rollout
from delivery.guard.tests.test_rollback_loop import just_now
from delivery.tests.hosts import Remote

pytestmark = pytest.mark.slow

FILE, DEV = "production/release.yaml", "dev/release.yaml"
TEXT = GOOD.to_yaml()
# Read as text, 2 to the power of 40.
BOMB = b"b0: &b0 x\n" + b"".join(b"b%d: &b%d [*b%d, *b%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 41))
ODD = {
    "Latin-1": TEXT.replace("1.1", "1.1é").encode("latin-1"),
    "NUL": TEXT.encode() + b"\0",
    "a date that is none": TEXT.replace('"1.1"', "2026-45-01").encode(),
    "a number without end": TEXT.replace('"1.1"', "9" * 10_000).encode(),
    "a bomb": b"a: &a [x, x]\n"
    + b"".join(b"b%d: &b%d [*a, *a]\n" % (n, n) for n in range(9))
    + TEXT.encode(),
    "5 MB": TEXT.encode() + b"#" * 5_000_000,
    "nested": TEXT.encode() + b"deep: " + b"[" * 20_000,
    "a tag": TEXT.encode() + b"more: !!python/object/apply:os.getcwd []\n",
    "a field twice": TEXT.encode() + b"strategy: canary\n",
    "half a character": TEXT.replace("1.1", "\\ud800").encode(),
    "nothing": b"",
    "a list": b"- 1\n",
}


@pytest.fixture
def guard(remote: Remote, logged: list[str]) -> Iterator[RollbackLoop]:
    """Of an environment dev that is odd, and a production whose release failed."""
    remote.commit("environments", {FILE: TEXT, DEV: TEXT})
    remote.commit("environments", {FILE: BAD.to_yaml()})
    with git.opened(str(remote.path), Path.cwd()) as repository:
        cluster = FakeCluster()
        cluster.state = cluster.others["dev"] = aborted(at=just_now(seconds=1))
        yield RollbackLoop(cluster, repository, ["dev", "production"], log=Log(logged.append))


def version(remote: Remote) -> Any:
    return remote.release("production")["image"]["version"]


@pytest.fixture(params=ODD)
def odd(request: pytest.FixtureRequest) -> bytes:
    return ODD[request.param]


def test_a_release_file_of_odd_bytes_is_its_own_environments_trouble(
    guard: RollbackLoop, remote: Remote, logged: list[str], odd: bytes
) -> None:
    remote.commit("environments", {DEV: odd})

    guard.reconcile("dev")
    guard.reconcile("production")

    assert logged[0].startswith("dev: error: dev/release.yaml on the branch environments")
    assert len(logged[0]) < 300
    assert version(remote) == "1.1"


def test_a_repaired_file_is_only_a_line_in_the_history(
    guard: RollbackLoop, remote: Remote, odd: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    remote.commit("environments", {FILE: odd})
    remote.commit("environments", {FILE: BAD.to_yaml()}, "repair")

    guard.reconcile("production")

    assert version(remote) == "1.1"
    capsys.readouterr()
    assert main(["history", "production", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [each["version"] for each in shown] == ["1.1", "1.2", None, "1.2", "1.1"]
    assert "release.yaml on the branch environments at " in shown[2]["problem"]


def test_the_metrics_go_on(remote: Remote, odd: bytes) -> None:
    remote.commit("environments", {DEV: odd, FILE: TEXT})
    remote.commit("environments", {FILE: odd})
    remote.commit("environments", {FILE: BAD.to_yaml()})
    with git.opened(str(remote.path), Path.cwd()) as repository:
        of = MaintenanceLoop(FakeCluster(), repository, ["dev", "production"], metrics=DeliveryMetrics())
        of.run_once()
    assert len(of.metrics.performances["production"].deployments) == 2


def test_the_files_of_all_environments_hold_up_nothing_either(
    guard: RollbackLoop, remote: Remote, odd: bytes
) -> None:
    remote.commit("environments", {quarantine.FILE: odd, freeze.FILE: odd})

    branch = fetch_existing(guard.repository)
    if odd:
        with pytest.raises(Refused, match=r"quarantine\.yaml"):
            quarantine.entries(branch)
        with pytest.raises(Refused, match=r"freeze\.yaml"):
            freeze.frozen(branch, "dev", datetime.now(tz=UTC))
        image = f"{GOOD.image.repository}@{GOOD.image.digest}"
        found = ImagePolicy(guard.repository).verdict(image)
        assert (found.verdict, "quarantine.yaml" in found.says) == ("unknown", True)
    guard.reconcile("production")
    assert version(remote) == "1.1", guard.errors


def test_a_folder_in_a_files_place_is_no_file(guard: RollbackLoop, remote: Remote, logged: list[str]) -> None:
    remote.commit("environments", {DEV: None})
    remote.commit("environments", {f"{DEV}/inside": "x\n"})

    guard.reconcile("dev")
    guard.reconcile("production")

    assert "is no file" in logged[0]
    assert version(remote) == "1.1"


@pytest.mark.parametrize(
    "message",
    [
        b"caf\xe9\n\nwhy \xff\n",
        b"a \x01 and \x02 and\n\n[/red] \x1b[31m\n",
        b"x" * 2_000_000,
        b"\xed\xa0\x80\n",
    ],
    ids=["Latin-1", "separators", "long", "half a character"],
)
def test_a_message_may_have_any_bytes(
    guard: RollbackLoop, remote: Remote, message: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    remote.commit("environments", {FILE: TEXT}, message)
    remote.commit("environments", {FILE: BAD.to_yaml()})
    rewritten(remote, lambda raw: raw.replace(b"author Ada", b"author Ad\xe9 [/b]") + message)

    guard.reconcile("production")

    assert version(remote) == "1.1"
    capsys.readouterr()
    assert main(["history"]) == 0
    shown = capsys.readouterr().out
    assert "Ad\ufffd" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("time", [b"99999999999999999999", b"67767976233532799", b"never"])
def test_a_commit_without_a_time_is_an_old_one(guard: RollbackLoop, remote: Remote, time: bytes) -> None:
    rewritten(remote, lambda raw: re.sub(rb"(committer .*>) \d+", rb"\1 " + time, raw))

    guard.reconcile("production")

    assert version(remote) == "1.1"
    assert main(["history"]) == 0


def rewritten(remote: Remote, change: Callable[[bytes], bytes]) -> None:
    """Change the newest commit's own bytes, as no program does that makes commits for people."""
    raw = subprocess.run(
        ["git", "cat-file", "commit", "environments"], cwd=remote.path, capture_output=True, check=True
    ).stdout
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
        cwd=remote.path,
        input=change(raw),
        capture_output=True,
        check=True,
    ).stdout
    remote.git("update-ref", "refs/heads/environments", made.decode().strip())


def test_the_reason_of_a_rollback_fits_into_a_commit(guard: RollbackLoop, remote: Remote) -> None:
    """Even if a policy of the cluster says a book, with a letter that no commit takes."""
    assert isinstance(guard.cluster, FakeCluster)
    guard.cluster.state = rollout(GOOD, currentPodHash="old")
    said = "denied the request: " + "no \0 way \ud800 " * 10_000
    guard.cluster.argocd = not_let_in(started=just_now(seconds=-1))
    guard.cluster.argocd["status"]["operationState"]["syncResult"]["resources"][0]["message"] = said

    guard.reconcile("production")

    assert version(remote) == "1.1", guard.errors
    assert "- admission: 1.2 is not let in: no \ufffd way \ufffd" in remote.message()
    assert "…\n" in remote.message()
    assert len(remote.message()) < 2000


def test_a_folder_may_have_any_name(guard: RollbackLoop, remote: Remote) -> None:
    odd = {f"{name}/release.yaml": TEXT for name in (":(glob)x", "-x", "a b", "Ü", 'q"uote', "new\tline")}
    remote.commit("environments", odd)
    with git.opened(str(remote.path), Path.cwd()) as repository:
        assert fetch_existing(repository).names() == ["dev", "staging", "production"]
    assert main(["history"]) == 0
