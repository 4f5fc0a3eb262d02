"""What is asked of the pipeline's commands; cosign and Trivy themselves run in the drills."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from cluster import paths
from delivery.drills import local, signing
from delivery.drills.images import Image

IMAGE = Image("1.1", f"sha256:{'a' * 64}", "b" * 40)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """The commands with their variables; what imports a key writes one."""
    said: list[tuple[list[str], dict[str, str]]] = []

    def output(command: list[str | Path], *, env: Mapping[str, str], **_: object) -> str:
        said.append(([str(word) for word in command], dict(env)))
        if command[1] == "import-key-pair":
            Path(f"{command[-1]}.key").write_text("encrypted", encoding="utf-8")
        return ""

    monkeypatch.setattr(paths, "STATE", tmp_path)
    monkeypatch.setattr(local, "output", output)
    return said


def test_an_image_is_signed_and_listed_with_one_key(asked: list[tuple[list[str], dict[str, str]]]) -> None:
    signing.sign(IMAGE)
    signing.sign(IMAGE)
    commands = [words[1] for words, _ in asked]
    assert commands == ["import-key-pair", "sign", "sbom", "sign", "sbom"]
    assert {variables["IMAGE"] for _, variables in asked[1:]} == {IMAGE.reference}
    assert {variables["COSIGN_PRIVATE_KEY"] for _, variables in asked[1:]} == {"encrypted"}


def test_the_list_can_be_left_out(asked: list[tuple[list[str], dict[str, str]]]) -> None:
    signing.sign(IMAGE, sbom=False)
    assert [words[1] for words, _ in asked] == ["import-key-pair", "sign"]


def test_the_password_is_nobody_elses_to_read(
    asked: list[tuple[list[str], dict[str, str]]], tmp_path: Path
) -> None:
    signing.sign(IMAGE)
    file = tmp_path / "cosign.password"
    assert file.stat().st_mode & 0o777 == 0o600
    password = file.read_text(encoding="utf-8")
    assert len(password) >= 32
    assert not [words for words, _ in asked if password in " ".join(words)]
