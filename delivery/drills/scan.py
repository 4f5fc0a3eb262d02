"""Scan results for the images that drills release, signed with a key of the local cluster's own.

No vulnerability database can be had where the drills run, so nothing is scanned: each image says itself what is to be
found in it, and the result is written as Trivy writes it and attached as cosign attaches it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cluster import paths
from delivery import scans
from delivery.drills.errors import NotReady

SECRET = "delivery-guard-scan"  # noqa: S105  # a Secret's name
_ENVELOPE = "application/vnd.dsse.envelope.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def key_file() -> Path:
    """The private key's file. `down` removes it with the rest of the cluster's state."""
    return paths.STATE / "scan-key.pem"


def private_key() -> ec.EllipticCurvePrivateKey:
    """The cluster's key, made when it is first asked for. Raises NotReady."""
    path = key_file()
    if not path.exists():
        made = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        try:
            path.touch(mode=0o600)
            path.write_bytes(made)
        except OSError as error:
            raise NotReady(
                f"The key for scan results cannot be kept: {error}. Is the cluster up, and are you root?"
            ) from error
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise NotReady(f"{path} is no key for scan results: remove it, and a new one is made.")
    return key


def public_key() -> str:
    """The cluster's public key in PEM. Raises NotReady."""
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private_key().public_key().public_bytes(*form).decode()


def secret() -> dict[str, Any]:
    """The Secret that tells the guard by which key it may believe a result. Raises NotReady."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": "argocd"},
        "stringData": {"public.pem": public_key()},
    }


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
    return {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": scans.PREDICATE,
        "subject": [{"name": "crm", "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicate": {
            "invocation": {"parameters": None, "uri": "", "event_id": "", "builder.id": ""},
            "scanner": {"uri": "delivery/drills/scan.py", "version": "1", "db": {}, "result": report},
            "metadata": {"scanStartedOn": now, "scanFinishedOn": now},
        },
    }


def signed(said: dict[str, Any], key: ec.EllipticCurvePrivateKey) -> bytes:
    """A statement in an envelope with a signature."""
    payload = json.dumps(said).encode()
    signature = key.sign(scans.pae(scans.PAYLOAD, payload), ec.ECDSA(hashes.SHA256()))
    envelope = {
        "payloadType": scans.PAYLOAD,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": "", "sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps(envelope).encode()


def attach(repository: str, digest: str, *envelopes: bytes) -> None:
    """Put envelopes where cosign puts them, instead of those that are there: a tag made of the digest.

    Raises NotReady.
    """
    host, _, name = repository.partition("/")
    with httpx.Client(base_url=f"http://{host}/v2/{name}", timeout=20) as registry:
        try:
            layers = [_blob(registry, envelope) for envelope in envelopes]
            # cosign adds to it only where the configuration knows of each layer.
            known = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
            config = _blob(registry, json.dumps({"architecture": "", "os": "", "rootfs": known}).encode())
            for layer in layers:
                layer["annotations"] = {
                    "dev.cosignproject.cosign/signature": "",
                    "predicateType": scans.PREDICATE,
                }
            manifest = {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": config | {"mediaType": "application/vnd.oci.image.config.v1+json"},
                "layers": layers,
            }
            registry.put(
                f"/manifests/{digest.replace(':', '-')}.att",
                content=json.dumps(manifest),
                headers={"Content-Type": _MANIFEST},
            ).raise_for_status()
        except httpx.HTTPError as error:
            raise NotReady(f"The registry {host} did not take a scan result: {error}") from error


def _blob(registry: httpx.Client, content: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    place = registry.post("/blobs/uploads/").raise_for_status().headers["location"]
    registry.put(httpx.URL(place).copy_add_param("digest", digest), content=content).raise_for_status()
    return {"mediaType": _ENVELOPE, "digest": digest, "size": len(content)}
