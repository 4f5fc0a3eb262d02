"""The cluster's own key for scan results."""

from __future__ import annotations

from pathlib import Path

import pytest

from delivery import scans
from delivery.drills import scan
from delivery.drills.errors import NotReady


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "scan-key.pem"
    monkeypatch.setattr(scan, "key_file", lambda: file)
    return file


def test_the_key_is_made_once_and_for_its_owner_alone(key_file: Path) -> None:
    first, again = scan.private_key(), scan.private_key()
    assert first.private_numbers() == again.private_numbers()
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_the_guard_is_given_the_public_key_and_nothing_else(key_file: Path) -> None:
    made = scan.secret()
    assert list(made["stringData"]) == ["public.pem"]
    assert scans.public_key(made["stringData"]["public.pem"].encode()) == scan.private_key().public_key()


def test_a_key_that_is_none_is_refused_by_its_file(key_file: Path) -> None:
    key_file.write_text("half a key")
    with pytest.raises(NotReady, match="is no key for scan results: remove it"):
        scan.private_key()


def test_without_a_cluster_there_is_no_place_for_a_key(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "key_file", lambda: key_file / "missing" / "scan-key.pem")
    with pytest.raises(NotReady, match="Is the cluster up"):
        scan.private_key()


def test_a_registry_that_is_away_is_not_ready() -> None:
    with pytest.raises(
        NotReady, match="The registry localhost:1 did not take what was signed about an image"
    ):
        scan.attach("localhost:1/crm", f"sha256:{'a' * 64}", b"{}")
