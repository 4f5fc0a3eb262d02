"""Scan results as Trivy writes them, and lists of what is in an image, signed and attached as cosign does it.

For tests, and for the drills, whose images say themselves what a scanner would find in them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from delivery.images import attestations, sbom
from delivery.images.registry import BUNDLE, PREDICATE_ANNOTATION

_ENVELOPE = "application/vnd.dsse.envelope.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def statement(
    digest: str, findings: Sequence[str] = (), *, finished: datetime | None = None
) -> dict[str, Any]:
    """What a scan of a digest found, as Trivy says it; each finding is a severity."""
    now = (finished or datetime.now(tz=UTC)).isoformat()
    found = [
        {"VulnerabilityID": f"CVE-2026-{number:04}", "PkgName": "made-up", "Severity": severity}
        for number, severity in enumerate(findings, start=1)
    ]
    report = {
        "SchemaVersion": 2,
        "Results": [{"Target": "crm", "Class": "os-pkgs", "Vulnerabilities": found}],
    }
    return _statement(
        digest,
        attestations.PREDICATE,
        {
            "invocation": {"parameters": None, "uri": "", "event_id": "", "builder.id": ""},
            "scanner": {"uri": "delivery/tests/attestations.py", "version": "1", "db": {}, "result": report},
            "metadata": {"scanStartedOn": now, "scanFinishedOn": now},
        },
    )


def listing(digest: str, *packages: str) -> dict[str, Any]:
    """A list of what is in the image of a digest, in SPDX."""
    return _statement(
        digest,
        sbom.PREDICATE,
        {
            "spdxVersion": "SPDX-2.3",
            "name": "crm",
            "packages": [{"SPDXID": f"SPDXRef-{name}", "name": name} for name in packages],
        },
    )


def _statement(digest: str, kind: str, predicate: dict[str, Any]) -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": kind,
        "subject": [{"name": "crm", "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicate": predicate,
    }


def signed(content: dict[str, Any], key: ec.EllipticCurvePrivateKey) -> bytes:
    """A statement in an envelope with a signature."""
    payload = json.dumps(content).encode()
    signature = key.sign(attestations.pae(attestations.PAYLOAD, payload), ec.ECDSA(hashes.SHA256()))
    envelope = {
        "payloadType": attestations.PAYLOAD,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": "", "sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps(envelope).encode()


def attach(repository: str, digest: str, *envelopes: bytes) -> None:
    """Put envelopes where cosign's older form has them, instead of those that are there: a tag made of the digest.

    Raises httpx.HTTPError.
    """
    with _registry(repository) as registry:
        layers = [_blob(registry, envelope, _ENVELOPE) for envelope in envelopes]
        # cosign adds to it only where the configuration knows of each layer.
        known = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
        config = json.dumps({"architecture": "", "os": "", "rootfs": known}).encode()
        for layer in layers:
            layer["annotations"] = {
                "dev.cosignproject.cosign/signature": "",
                "predicateType": attestations.PREDICATE,
            }
        manifest = {
            "config": _blob(registry, config, "application/vnd.oci.image.config.v1+json"),
            "layers": layers,
        }
        _put(registry, f"{_as_tag(digest)}.att", _MANIFEST, manifest)


def attach_bundle(repository: str, digest: str, envelope: bytes, kind: str) -> None:
    """Add an envelope in a bundle, where cosign has it if a registry knows no referrers: an index, its tag the digest.

    kind: the predicate's type. Raises httpx.HTTPError.
    """
    bundle = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": ""}},
        "dsseEnvelope": json.loads(envelope),
    }
    with _registry(repository) as registry:
        image = registry.get(f"/manifests/{digest}", headers={"Accept": f"{_MANIFEST}, {_INDEX}"})
        subject = _described(image.raise_for_status().content, image.headers["content-type"])
        manifest = {
            "artifactType": BUNDLE,
            "config": _blob(registry, b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": [_blob(registry, json.dumps(bundle).encode(), BUNDLE)],
            "subject": subject,
            "annotations": {"dev.sigstore.bundle.content": "dsse-envelope", PREDICATE_ANNOTATION: kind},
        }
        added = _put(registry, None, _MANIFEST, manifest) | {"artifactType": BUNDLE}
        index = registry.get(f"/manifests/{_as_tag(digest)}", headers={"Accept": _INDEX})
        none = index.status_code == httpx.codes.NOT_FOUND
        there = [] if none else index.raise_for_status().json()["manifests"]
        _put(registry, _as_tag(digest), _INDEX, {"manifests": [*there, added]})


def _registry(repository: str) -> httpx.Client:
    host, _, name = repository.partition("/")
    return httpx.Client(base_url=f"http://{host}/v2/{name}", timeout=20)


def _as_tag(digest: str) -> str:
    return digest.replace(":", "-")


def _put(registry: httpx.Client, name: str | None, kind: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """Put a manifest under a name, or its own digest; returns what describes it."""
    content = json.dumps({"schemaVersion": 2, "mediaType": kind, **manifest}).encode()
    described = _described(content, kind)
    place = f"/manifests/{name or described['digest']}"
    registry.put(place, content=content, headers={"Content-Type": kind}).raise_for_status()
    return described


def _blob(registry: httpx.Client, content: bytes, kind: str) -> dict[str, Any]:
    described = _described(content, kind)
    place = registry.post("/blobs/uploads/").raise_for_status().headers["location"]
    address = httpx.URL(place).copy_add_param("digest", described["digest"])
    registry.put(address, content=content).raise_for_status()
    return described


def _described(content: bytes, kind: str) -> dict[str, Any]:
    return {
        "mediaType": kind,
        "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "size": len(content),
    }
