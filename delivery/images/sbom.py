"""The signed list of what is in an image (SBOM, SPDX), without which Kyverno admits no pod of it.

`make sbom` attaches it, as cosign does.
"""

from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric import ec

from delivery.images.attestations import Uncounted, parsed, signed_statement

PREDICATE = "https://spdx.dev/Document"
_LIST = "signed list of what is in it (SBOM)"


def packages(bundles: Iterable[bytes], *, digest: str, key: ec.EllipticCurvePublicKey) -> int:
    """How many packages the first valid list has. Raises Uncounted, with the reason against the last one."""
    why = f"no {_LIST} is in the registry"
    for bundle in bundles:
        try:
            return _read(bundle, digest, key)
        except Uncounted as reason:
            why = str(reason)
    raise Uncounted(why)


def _read(bundle: bytes, digest: str, key: ec.EllipticCurvePublicKey) -> int:
    statement = signed_statement(parsed(bundle, _LIST).get("dsseEnvelope"), key, _LIST)
    try:
        subjects = [subject["digest"].get("sha256") for subject in statement["subject"]]
        listed = [package["name"] for package in statement["predicate"]["packages"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise Uncounted(f"the {_LIST} is not SPDX") from error
    if statement.get("predicateType") != PREDICATE or not listed:
        raise Uncounted(f"the {_LIST} lists nothing")
    if digest.removeprefix("sha256:") not in subjects:
        raise Uncounted(f"the {_LIST} is of another digest")
    return len(listed)
