"""An image is released only with a signed scan result, and only where that has nothing critical or high."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from delivery.cli.main import main
from delivery.tests.attestations import attach, signed, statement
from delivery.tests.hosts import Pushed, Registry

OURS, THEIRS = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


@pytest.fixture
def key(tmp_path: Path) -> str:
    pem = OURS.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    file = tmp_path / "scan.pub"
    file.write_bytes(pem)
    return str(file)


def scanned(registry: Registry, *findings: str, key: ec.EllipticCurvePrivateKey = OURS) -> Pushed:
    """An image of its own, with a scan result."""
    image = registry.push(version=f"1.0-{len(findings)}{''.join(findings)}")
    attach(image.repository, image.digest, signed(statement(image.digest, findings), key))
    return image


@pytest.mark.usefixtures("remote")
class TestScanned:
    def test_a_clean_image_passes(
        self, registry: Registry, key: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        image = scanned(registry, "MEDIUM", "LOW")
        assert main(["check-scan", str(image), "--key", key]) == 0
        assert "0 critical and 0 high vulnerabilities" in capsys.readouterr().out

    @pytest.mark.parametrize(("finding", "critical_only"), [("CRITICAL", 3), ("HIGH", 0)])
    def test_a_vulnerable_one_does_not(
        self,
        registry: Registry,
        key: str,
        capsys: pytest.CaptureFixture[str],
        finding: str,
        critical_only: int,
    ) -> None:
        image = scanned(registry, finding)
        assert main(["check-scan", str(image), "--key", key]) == 3
        assert f"{image} must not be released: " in capsys.readouterr().err
        assert main(["check-scan", "--critical", str(image), "--key", key]) == critical_only

    def test_nor_does_one_that_others_have_scanned(
        self, registry: Registry, key: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        image = scanned(registry, "LOW", "LOW", key=THEIRS)
        assert main(["check-scan", str(image), "--key", key]) == 1
        assert (
            "has no valid scan result: the scan result is not signed by the trusted key"
            in capsys.readouterr().err
        )

    def test_nor_one_that_nobody_has_scanned(
        self, registry: Registry, key: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        image = registry.push(version="1.0-unscanned")
        assert main(["check-scan", str(image), "--key", key]) == 1
        assert "no scan result of this digest is in the registry" in capsys.readouterr().err

    def test_a_tag_is_not_enough(
        self, registry: Registry, key: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["check-scan", f"{registry.repository}:1.0", "--key", key]) == 1
        assert "needs a digest" in capsys.readouterr().err

    def test_a_key_that_is_none_is_told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        image = f"localhost:5000/crm@sha256:{'a' * 64}"
        assert main(["check-scan", image, "--key", str(tmp_path / "none")]) == 1
        assert "The scanner's public key" in capsys.readouterr().err
