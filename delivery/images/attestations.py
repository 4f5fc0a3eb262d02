"""A scanner's signed result for an image: cosign's attestation of vulnerabilities, with Trivy's report in it.

    trivy image --format cosign-vuln --output result.json IMAGE
    cosign attest --type vuln --predicate result.json --key … --replace --new-bundle-format=false IMAGE

Only what was signed is believed. Everything around it (layers, annotations, names) can be written by whoever may push.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from delivery.errors import Refused

PREDICATE = "https://cosign.sigstore.dev/attestation/vuln/v1"
PAYLOAD = "application/vnd.in-toto+json"
# Vulnerabilities are found in old images too: what runs is scanned again every day.
LONGEST = timedelta(days=7)
_REFUSED = ("CRITICAL", "HIGH")
_MOST_NAMES = 3
# Clocks differ a little.
_AHEAD = timedelta(minutes=5)


@dataclass(frozen=True)
class Scan:
    """When a digest was scanned, and the names of what makes it unfit, by severity."""

    finished: datetime
    critical: tuple[str, ...] = ()
    high: tuple[str, ...] = ()

    @property
    def unfit(self) -> bool:
        return bool(self.critical or self.high)

    def __str__(self) -> str:
        found = (*self.critical, *self.high)
        more = ", …" if len(found) > _MOST_NAMES else ""
        named = f" ({', '.join(found[:_MOST_NAMES])}{more})" if found else ""
        return (
            f"{len(self.critical)} critical and {len(self.high)} high vulnerabilities{named}, "
            f"scanned {self.finished:%Y-%m-%d %H:%M} UTC"
        )


class Uncounted(Refused):
    """There is no valid result; the message is a reason that ends a sentence."""


class Vulnerable(Refused):
    """A valid result has vulnerabilities that an image must not have."""


def public_key_of(path: str) -> ec.EllipticCurvePublicKey:
    """The public key in a file. Raises Refused."""
    try:
        return public_key(Path(path).read_bytes())
    except (OSError, Refused) as error:
        raise Refused(f"The scanner's public key {path} cannot be used: {error}.") from error


def public_key(pem: bytes) -> ec.EllipticCurvePublicKey:
    """The key that cosign makes: ECDSA on P-256. Raises Refused."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Refused("it is not a public key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Refused("it is not an ECDSA key on P-256, which cosign generate-key-pair makes")
    return key


def newest(envelopes: Iterable[bytes], *, digest: str, key: ec.EllipticCurvePublicKey, now: datetime) -> Scan:
    """The newest valid result. Raises Uncounted, with the reason against the last one."""
    found: list[Scan] = []
    why = "no scan result of this digest is in the registry"
    for envelope in envelopes:
        try:
            scan = _read(envelope, digest, key)
        except Uncounted as reason:
            why = str(reason)
        else:
            found += [scan] if scan else []
    if not found:
        raise Uncounted(why)
    scan = max(found, key=lambda each: each.finished)
    if not now - LONGEST <= scan.finished <= now + _AHEAD:
        raise Uncounted(
            f"the newest scan result is of {scan.finished:%Y-%m-%d %H:%M} UTC, "
            f"and only those of the last {LONGEST.days} days count"
        )
    return scan


def pae(kind: str, payload: bytes) -> bytes:
    """What is signed: DSSE's encoding of a payload together with its kind."""
    return b"DSSEv1 %d %s %d %s" % (len(kind.encode()), kind.encode(), len(payload), payload)


def _read(envelope: bytes, digest: str, key: ec.EllipticCurvePublicKey) -> Scan | None:
    """A scan's result; None where something else is attested, such as what the image is made of. Raises Uncounted."""
    statement = signed_statement(parsed(envelope), key)
    if statement.get("predicateType") != PREDICATE:
        return None
    try:
        subjects = [subject["digest"].get("sha256") for subject in statement["subject"]]
        predicate = statement["predicate"]
        finished = datetime.fromisoformat(predicate["metadata"]["scanFinishedOn"])
        results = predicate["scanner"]["result"]["Results"]
        found = [
            (finding["Severity"].upper(), str(finding["VulnerabilityID"]))
            for result in results
            for finding in result.get("Vulnerabilities") or []
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Uncounted("the signed scan result is not a report that Trivy writes") from error
    if digest.removeprefix("sha256:") not in subjects:
        raise Uncounted("the signed scan result is of another digest")
    if finished.tzinfo is None or not results:
        raise Uncounted("the signed scan result does not say when or what was scanned")
    critical, high = (tuple(name for severity, name in found if severity == each) for each in _REFUSED)
    return Scan(finished.astimezone(UTC), critical, high)


def signed_statement(
    envelope: Any, key: ec.EllipticCurvePublicKey, what: str = "scan result"
) -> dict[str, Any]:
    """The statement in an envelope with our key's signature. Raises Uncounted."""
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [base64.b64decode(each["sig"], validate=True) for each in envelope["signatures"]]
    except (KeyError, TypeError, ValueError) as error:
        raise Uncounted(f"the {what} is not a signed envelope") from error
    if envelope.get("payloadType") != PAYLOAD:
        raise Uncounted(f"the {what} is not {PAYLOAD}")
    for signature in signatures:
        try:
            key.verify(signature, pae(PAYLOAD, payload), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            continue
        return parsed(payload, what)
    raise Uncounted(f"the {what} is not signed by the trusted key")


def parsed(text: bytes, what: str = "scan result") -> dict[str, Any]:
    """A JSON object. Raises Uncounted."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Uncounted(f"the {what} is not JSON") from error
    if not isinstance(found, dict):
        raise Uncounted(f"the {what} is not a JSON object")
    return found
