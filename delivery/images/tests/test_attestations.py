"""What a scanner has signed: only a result of this digest, by this key, of these days counts."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from delivery.errors import Refused, RegistryUnreachable
from delivery.images import attestations as scans
from delivery.images.attestations import Scan, Uncounted, newest
from delivery.images.registry import Reference, attestations
from delivery.tests.attestations import attach, signed, statement
from delivery.tests.hosts import Registry

NOW = datetime(2026, 1, 8, 12, 0, tzinfo=UTC)
FINISHED = NOW - timedelta(hours=1)
DIGEST, ANOTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
OURS, THEIRS = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def result(*findings: str, digest: str = DIGEST, finished: datetime = FINISHED) -> bytes:
    return signed(statement(digest, findings, finished=finished), OURS)


def judged(*envelopes: bytes) -> Scan:
    return newest(envelopes, digest=DIGEST, key=OURS.public_key(), now=NOW)


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    """A result of ours that was changed before it was signed."""
    result = statement(DIGEST, finished=FINISHED)
    change(result)
    return signed(result, OURS)


def test_a_clean_result_is_fit() -> None:
    scan = judged(result("MEDIUM", "LOW", "UNKNOWN"))
    assert not scan.unfit
    assert str(scan) == "0 critical and 0 high vulnerabilities, scanned 2026-01-08 11:00 UTC"


@pytest.mark.parametrize(
    ("findings", "says"),
    [
        (("CRITICAL",), "1 critical and 0 high vulnerabilities (CVE-2026-0001)"),
        (("LOW", "HIGH"), "0 critical and 1 high vulnerabilities (CVE-2026-0002)"),
        (
            ("HIGH", "HIGH", "HIGH", "critical"),
            "1 critical and 3 high vulnerabilities (CVE-2026-0004, CVE-2026-0001, CVE-2026-0002, …)",
        ),
    ],
)
def test_critical_and_high_findings_are_counted_and_named(findings: tuple[str, ...], says: str) -> None:
    scan = judged(result(*findings))
    assert scan.unfit
    assert str(scan) == f"{says}, scanned 2026-01-08 11:00 UTC"


def test_a_payload_that_was_changed_after_it_was_signed_does_not_count() -> None:
    envelope = json.loads(result("CRITICAL"))
    payload = base64.b64decode(envelope["payload"]).replace(b"CRITICAL", b"LOW")
    envelope["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(Uncounted, match="is not signed by the trusted key"):
        judged(json.dumps(envelope).encode())


def test_a_result_that_another_key_signed_does_not_count() -> None:
    with pytest.raises(Uncounted, match="is not signed by the trusted key"):
        judged(signed(statement(DIGEST, finished=FINISHED), THEIRS))


def test_one_good_signature_among_several_is_enough() -> None:
    envelope = json.loads(result())
    envelope["signatures"] = json.loads(signed({}, THEIRS))["signatures"] + envelope["signatures"]
    assert not judged(json.dumps(envelope).encode()).unfit


def test_a_result_of_another_digest_does_not_count() -> None:
    with pytest.raises(Uncounted, match="is of another digest"):
        judged(result(digest=ANOTHER))


@pytest.mark.parametrize(
    ("age", "counts"),
    [
        (timedelta(days=7), True),
        (timedelta(days=7, seconds=1), False),
        (-timedelta(minutes=4), True),
        (-timedelta(minutes=6), False),
    ],
)
def test_a_result_counts_for_seven_days(age: timedelta, *, counts: bool) -> None:
    envelope = result(finished=NOW - age)
    if counts:
        assert not judged(envelope).unfit
    else:
        with pytest.raises(Uncounted, match="only those of the last 7 days count"):
            judged(envelope)


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_results_the_newest_counts_in_whatever_order_they_stand(order: int) -> None:
    older, newer = result(finished=FINISHED - timedelta(days=1)), result("HIGH")
    assert judged(*[older, newer][::order]).unfit


def test_what_else_is_attested_and_what_others_signed_is_passed_over() -> None:
    bill_of_materials = changed(lambda result: result.update(predicateType="https://spdx.dev/Document"))
    theirs = signed(statement(DIGEST, ["CRITICAL"], finished=NOW), THEIRS)
    assert not judged(theirs, result(), bill_of_materials, b"\x00").unfit


@pytest.mark.parametrize(
    "envelopes", [(), (changed(lambda result: result.update(predicateType="https://spdx.dev/Document")),)]
)
def test_without_a_result_there_is_nothing_to_go_by(envelopes: tuple[bytes, ...]) -> None:
    with pytest.raises(Uncounted, match="no scan result of this digest is in the registry"):
        judged(*envelopes)


@pytest.mark.parametrize(
    "envelope",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b"{}",
        b'{"payload": 1, "signatures": []}',
        b'{"payload": "not base64!", "signatures": []}',
        b'{"payload": "", "payloadType": "text/plain", "signatures": []}',
        b'{"payload": "", "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "AAAA"}]}',
        b'{"payload": "", "payloadType": "application/vnd.in-toto+json", "signatures": [null]}',
    ],
)
def test_garbage_is_no_result(envelope: bytes) -> None:
    with pytest.raises(Uncounted):
        judged(envelope)


@pytest.mark.parametrize(
    "change",
    [
        lambda result: result.pop("subject"),
        lambda result: result.update(subject=[None]),
        lambda result: result["predicate"].pop("metadata"),
        lambda result: result["predicate"]["metadata"].update(scanFinishedOn="yesterday"),
        lambda result: result["predicate"]["metadata"].update(scanFinishedOn="2026-01-08T11:00:00"),
        lambda result: result["predicate"]["metadata"].update(scanFinishedOn=None),
        lambda result: result["predicate"]["scanner"].update(result=None),
        lambda result: result["predicate"]["scanner"]["result"].pop("Results"),
        lambda result: result["predicate"]["scanner"]["result"].update(Results=[]),
        lambda result: result["predicate"]["scanner"]["result"].update(Results={"Vulnerabilities": []}),
        lambda result: result["predicate"]["scanner"]["result"].update(
            Results=[{"Vulnerabilities": [{"VulnerabilityID": "CVE-1"}]}]
        ),
    ],
)
def test_a_report_that_says_too_little_is_no_result(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(Uncounted):
        judged(changed(change))


def test_a_target_without_findings_is_clean_and_go_writes_nanoseconds() -> None:
    def like_trivy(result: dict[str, Any]) -> None:
        result["predicate"]["scanner"]["result"]["Results"] = [{"Target": "crm", "Class": "os-pkgs"}]
        result["predicate"]["metadata"]["scanFinishedOn"] = "2026-01-08T11:00:00.123456789Z"

    assert not judged(changed(like_trivy)).unfit


def test_what_is_signed_is_as_the_specification_has_it() -> None:
    """The example of DSSE's protocol.md."""
    encoded = scans.pae("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_a_signature_that_another_program_made_counts(tmp_path: Path) -> None:
    """OpenSSL signs as cosign does: ECDSA over SHA-256, DER."""
    key = tmp_path / "key.pem"
    make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)]
    subprocess.run(make, check=True, capture_output=True)
    public = subprocess.run(["openssl", "ec", "-in", key, "-pubout"], check=True, capture_output=True).stdout
    payload = json.dumps(statement(DIGEST, ["HIGH"], finished=FINISHED)).encode()
    encoded = b"DSSEv1 28 application/vnd.in-toto+json " + str(len(payload)).encode() + b" " + payload
    signature = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", key], input=encoded, check=True, capture_output=True
    ).stdout
    envelope = {
        "payloadType": "application/vnd.in-toto+json",
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": "", "sig": base64.b64encode(signature).decode()}],
    }
    found = newest([json.dumps(envelope).encode()], digest=DIGEST, key=scans.public_key(public), now=NOW)
    assert found.high == ("CVE-2026-0001",)


def pem(key: Any) -> bytes:
    made: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return made


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "it is not a public key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "it is not a public key in PEM"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "it is not an ECDSA key on P-256"),
        (pem(rsa.generate_private_key(65537, 2048)), "it is not an ECDSA key on P-256"),
    ],
)
def test_another_kind_of_key_is_refused(text: bytes, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        scans.public_key(text)


# --- the registry ----------------------------------------------------------------------------------------------


def test_the_registry_has_what_cosign_put_there(registry: Registry) -> None:
    image = registry.push("1" * 40, "with-results")
    envelopes = [result(digest=image.digest), b"anything"]
    attach(image.repository, image.digest, *envelopes)
    assert attestations(Reference.parse(str(image))) == envelopes


def test_cosign_can_add_to_what_a_drill_put_there(registry: Registry) -> None:
    """It refuses a manifest whose configuration does not know of each layer."""
    image = registry.push("1" * 40, "to-be-added-to")
    attach(image.repository, image.digest, b"{}", b"[]")
    api = f"http://{registry.host}/v2/crm"
    tag = f"{image.digest.replace(':', '-')}.att"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    manifest = httpx.get(f"{api}/manifests/{tag}", headers=accept).json()
    config = httpx.get(f"{api}/blobs/{manifest['config']['digest']}").json()
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    assert len(manifest["layers"]) == 2


def test_of_an_image_that_nobody_scanned_it_has_nothing(registry: Registry) -> None:
    image = registry.push("1" * 40, "without-results")
    assert attestations(Reference.parse(str(image))) == []


def test_a_registry_may_have_another_address_than_its_name(registry: Registry) -> None:
    image = registry.push("1" * 40, "known-by-another-name")
    attach(image.repository, image.digest, b"{}")
    named = Reference.parse(f"registry.example.com/crm@{image.digest}")
    assert attestations(named, address=f"http://{registry.host}") == [b"{}"]


def test_a_registry_that_is_away_is_no_registry_without_results() -> None:
    with pytest.raises(RegistryUnreachable):
        attestations(Reference.parse(f"localhost:1/crm@{DIGEST}"))
