"""The verdict `security`, with results really signed, in a real registry and a real Git remote."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from delivery.cli.main import main
from delivery.conftest import wait_for
from delivery.errors import Refused
from delivery.gitops import git, quarantine
from delivery.gitops.branch import path_of
from delivery.gitops.release import Release, ReleasedImage
from delivery.guard import image_policy, server
from delivery.guard.health import Health
from delivery.guard.image_policy import CheckResult, ImagePolicy
from delivery.guard.tests.states import release
from delivery.images import attestations, sbom
from delivery.tests import slow
from delivery.tests.attestations import attach, attach_bundle, listing, signed, statement
from delivery.tests.hosts import Pushed, Registry, Remote

KEY, THEIRS = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


@pytest.fixture
def image(registry: Registry, request: pytest.FixtureRequest) -> Pushed:
    return registry.push("1" * 40, request.node.name)


@pytest.fixture
def guard(remote: Remote, image: Pushed) -> Iterator[ImagePolicy]:
    """A guard's ImagePolicy; Git has released the image's repository to staging."""
    released = Release("1" * 40, ReleasedImage(image.repository, f"sha256:{'0' * 64}", "1.0"), "canary")
    remote.commit("environments", {path_of("staging"): released.to_yaml()})
    with git.opened(str(remote.path), Path.cwd()) as repository:
        yield ImagePolicy(repository, KEY.public_key())


def pem() -> bytes:
    return KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def scanned(image: Pushed, *findings: str, finished: datetime | None = None) -> None:
    attach(image.repository, image.digest, signed(statement(image.digest, findings, finished=finished), KEY))


def test_a_clean_result_is_fine(guard: ImagePolicy, image: Pushed) -> None:
    scanned(image, "LOW")
    found = guard.verdict(str(image))
    assert found.verdict == "fine"
    assert found.says.startswith("0 critical and 0 high vulnerabilities, scanned ")


def test_a_critical_vulnerability_is_bad(guard: ImagePolicy, image: Pushed) -> None:
    scanned(image, "CRITICAL")
    found = guard.verdict(str(image))
    assert found.verdict == "bad"
    assert found.says.startswith("1 critical and 0 high vulnerabilities (CVE-2026-0001), scanned ")


def test_a_quarantined_image_is_bad_however_clean(guard: ImagePolicy, image: Pushed, remote: Remote) -> None:
    scanned(image)
    entry = quarantine.QuarantinedImage(
        image.digest, "1.2", "production", "2026-01-02T12:00:00Z", "error-rate: all failed"
    )
    remote.commit("environments", {quarantine.FILE: quarantine.text_with([], entry)})
    assert guard.verdict(str(image)) == CheckResult(
        "bad", "quarantined since 2026-01-02T12:00:00Z: error-rate: all failed"
    )


def test_an_image_that_nobody_scanned_is_unknown(guard: ImagePolicy, image: Pushed) -> None:
    assert guard.verdict(str(image)) == CheckResult(
        "unknown", "no scan result of this digest is in the registry"
    )


def test_a_result_may_still_come(guard: ImagePolicy, image: Pushed) -> None:
    assert guard.verdict(str(image)).verdict == "unknown"
    scanned(image)
    assert guard.verdict(str(image)).verdict == "fine"


def test_an_old_result_is_unknown(guard: ImagePolicy, image: Pushed) -> None:
    scanned(image, finished=datetime.now(tz=UTC) - timedelta(days=8))
    found = guard.verdict(str(image))
    assert found.verdict == "unknown"
    assert "only those of the last 7 days count" in found.says


def test_without_a_key_nothing_is_believed(guard: ImagePolicy, image: Pushed) -> None:
    scanned(image)
    guard.key = None
    assert guard.verdict(str(image)) == CheckResult(
        "unknown", "the guard has no key (DELIVERY_SCAN_KEY) to believe a scan result by"
    )


def listed(image: Pushed, *packages: str, digest: str = "", key: ec.EllipticCurvePrivateKey = KEY) -> None:
    said = listing(digest or image.digest, *packages)
    attach_bundle(image.repository, image.digest, signed(said, key), sbom.PREDICATE)


def test_where_a_key_for_lists_is_known_the_signed_list_is_read(guard: ImagePolicy, image: Pushed) -> None:
    guard.sbom_key = KEY.public_key()
    scanned(image)
    listed(image, "crm", "django")
    found = guard.verdict(str(image))
    assert found.verdict == "fine"
    assert found.says.endswith("; 2 packages in its signed list (SBOM)")


def test_without_a_list_nothing_is_fine_and_what_is_bad_stays_bad(guard: ImagePolicy, image: Pushed) -> None:
    guard.sbom_key = KEY.public_key()
    scanned(image)
    assert guard.verdict(str(image)) == CheckResult(
        "unknown", "no signed list of what is in it (SBOM) is in the registry"
    )
    scanned(image, "CRITICAL")
    assert guard.verdict(str(image)).verdict == "bad"


@pytest.mark.parametrize(
    ("attest", "why"),
    [
        (lambda image: listed(image, "crm", key=THEIRS), "is not signed by the trusted key"),
        (lambda image: listed(image, "crm", digest=f"sha256:{'b' * 64}"), "is of another digest"),
        (listed, "lists nothing"),
        (
            lambda image: attach_bundle(
                image.repository, image.digest, signed(statement(image.digest), KEY), sbom.PREDICATE
            ),
            "is not SPDX",
        ),
        (
            lambda image: attach_bundle(image.repository, image.digest, b"{}", sbom.PREDICATE),
            "is not a signed envelope",
        ),
        (
            lambda image: attach_bundle(image.repository, image.digest, b"[]", sbom.PREDICATE),
            "is not a signed envelope",
        ),
        (
            lambda image: attach_bundle(
                image.repository,
                image.digest,
                signed(listing(image.digest, "crm"), KEY),
                attestations.PREDICATE,
            ),
            "no signed list of what is in it (SBOM) is in the registry",
        ),
    ],
)
def test_a_list_that_does_not_count_is_unknown(
    guard: ImagePolicy, image: Pushed, attest: Callable[[Pushed], None], why: str
) -> None:
    guard.sbom_key = KEY.public_key()
    scanned(image)
    attest(image)
    found = guard.verdict(str(image))
    assert found.verdict == "unknown"
    assert why in found.says


def test_a_bundle_that_is_none_hides_no_other(guard: ImagePolicy, image: Pushed) -> None:
    guard.sbom_key = KEY.public_key()
    scanned(image)
    listed(image, "crm")
    for nonsense in (b"null", b"7"):
        attach_bundle(image.repository, image.digest, nonsense, sbom.PREDICATE)
    assert guard.verdict(str(image)).verdict == "fine"


def test_one_list_that_counts_is_enough(guard: ImagePolicy, image: Pushed) -> None:
    guard.sbom_key = KEY.public_key()
    scanned(image)
    for key in (THEIRS, KEY, THEIRS):
        listed(image, "crm", key=key)
    assert guard.verdict(str(image)).verdict == "fine"


def test_a_registry_that_is_away_is_unknown(guard: ImagePolicy, image: Pushed) -> None:
    guard.registries = {image.repository.split("/")[0]: "http://localhost:1"}
    found = guard.verdict(str(image))
    assert found.verdict == "unknown"
    assert "cannot be reached" in found.says


def test_git_that_is_away_is_unknown(guard: ImagePolicy, image: Pushed, remote: Remote) -> None:
    scanned(image)
    remote.path.rename(remote.path.with_name("elsewhere.git"))
    found = guard.verdict(str(image))
    assert found.verdict == "unknown"
    assert "git fetch failed" in found.says


def test_a_quarantine_that_nobody_can_read_is_unknown(
    guard: ImagePolicy, image: Pushed, remote: Remote
) -> None:
    scanned(image)
    remote.commit("environments", {quarantine.FILE: "{"})
    found = guard.verdict(str(image))
    assert found.verdict == "unknown"
    assert "repair it by hand" in found.says


def test_only_the_registries_of_released_images_are_asked(
    guard: ImagePolicy, image: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_policy, "attestations", lambda *_, **__: pytest.fail("it asked"))
    other = f"metadata.example.com/crm@{image.digest}"
    assert guard.verdict(other) == CheckResult(
        "unknown", "no release file in Git names the repository metadata.example.com/crm"
    )


def test_a_release_file_that_nobody_can_read_hides_no_other(
    guard: ImagePolicy, image: Pushed, remote: Remote
) -> None:
    scanned(image)
    remote.commit("environments", {path_of("dev"): "{", path_of("production"): release("1.0").to_yaml()})
    assert guard.verdict(str(image)).verdict == "fine"


@pytest.mark.parametrize(
    "text", ["", "crm", "http://localhost/crm", "example.com/crm:1.0", "example.com/crm@sha256:1"]
)
def test_only_an_image_by_its_digest_can_be_asked_about(guard: ImagePolicy, text: str) -> None:
    with pytest.raises(Refused):
        guard.verdict(text)


def test_several_may_ask_at_once(guard: ImagePolicy, image: Pushed) -> None:
    scanned(image)
    found: list[str] = []
    asking = [
        threading.Thread(target=lambda: found.append(guard.verdict(str(image)).verdict)) for _ in range(4)
    ]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert found == ["fine"] * 4


def test_an_answer_that_nobody_expected_is_unknown(
    guard: ImagePolicy, image: Pushed, monkeypatch: Any
) -> None:
    monkeypatch.setattr(image_policy, "attestations", lambda *_, **__: 1 / 0)
    said = server.verdict(f"/verdicts/security?image={image}", guard, Health())
    assert said.status == 200
    assert json.loads(said.text)["verdict"] == "unknown"
    assert "ZeroDivisionError" in said.text


@pytest.mark.slow
def test_a_git_that_stays_silent_is_unknown_and_holds_up_no_other_request(image: Pushed) -> None:
    with (
        slow.server(slow.SILENCE) as (port, accepted),
        git.opened(f"http://127.0.0.1:{port}/crm.git", Path.cwd(), patience=2) as repository,
    ):
        guard = ImagePolicy(repository, KEY.public_key(), patience=0.1)
        found: list[CheckResult] = []
        first = threading.Thread(target=lambda: found.append(guard.verdict(str(image))))
        first.start()
        wait_for(lambda: bool(accepted))
        second = guard.verdict(str(image))
        assert second == CheckResult("unknown", "Git has not answered the request before this one yet")
        assert first.is_alive(), "it was not waited for"
        first.join(10)
    assert [(each.verdict, "did not end within 2 s" in each.says) for each in found] == [("unknown", True)]
    assert not guard.liveness.late()


def test_the_program_answers(image: Pushed, guard: ImagePolicy, remote: Remote, tmp_path: Path) -> None:
    """As it runs, without a cluster: what the variables say arrives at the verdict."""
    scanned(image, "HIGH")
    (tmp_path / "public.pem").write_bytes(pem())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {
        "DELIVERY_REMOTE": str(remote.path),
        "DELIVERY_PORT": str(port),
        "DELIVERY_SCAN_KEY": str(tmp_path / "public.pem"),
        "DELIVERY_REGISTRIES": "registry.example.com=https://registry.example.com",
        "KUBECONFIG": "/nowhere",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    program = [sys.executable, "-m", "delivery", "verdicts"]
    with subprocess.Popen(program, env={**os.environ, **variables}, stdout=subprocess.DEVNULL) as running:
        try:
            url = f"http://127.0.0.1:{port}/verdicts/security?image={image}"
            for _ in range(300):
                with contextlib.suppress(httpx.TransportError):
                    assert httpx.get(url, timeout=10).json()["verdict"] == "bad"
                    break
                assert running.poll() is None, "the guard ended"
                time.sleep(0.1)
            else:
                pytest.fail("the guard did not answer within 30 s")
        finally:
            running.terminate()
    assert running.returncode == 0


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("DELIVERY_SCAN_KEY", "/nowhere"),
        ("DELIVERY_SBOM_KEY", "/nowhere"),
        ("DELIVERY_REGISTRIES", "localhost"),
    ],
)
def test_the_program_refuses_what_it_cannot_use(
    remote: Remote,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    text: str,
) -> None:
    monkeypatch.setenv(variable, text)
    assert main(["verdicts"]) == 1
    assert f"delivery: {variable} " in capsys.readouterr().err
