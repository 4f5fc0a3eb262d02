"""Signs the images that drills release, by the pipeline's own commands, with the key of the local cluster."""

from __future__ import annotations

import secrets

from cluster import paths, platform
from delivery.drills import local, scan
from delivery.drills.images import Image

_SECONDS = 180


def sign(image: Image, *, sbom: bool = True) -> None:
    """`make sign`, and `make sbom` unless left out. Raises NotReady."""
    variables = {"IMAGE": image.reference, **_key()}
    local.output(["make", "sign"], env=variables, seconds=_SECONDS)
    if sbom:
        local.output(["make", "sbom"], env=variables, seconds=_SECONDS)


def _key() -> dict[str, str]:
    """The key as cosign keeps it, made from the cluster's own, and its password; both for `make` alone to read."""
    key, password = paths.STATE / "cosign.key", paths.STATE / "cosign.password"
    if not key.exists():
        platform.write_private(password, secrets.token_urlsafe(24))
        scan.private_key()
        local.output(
            [
                "cosign",
                "import-key-pair",
                "--key",
                scan.key_file(),
                "--output-key-prefix",
                key.with_suffix(""),
            ],
            env={"COSIGN_PASSWORD": password.read_text(encoding="utf-8")},
        )
    return {
        "COSIGN_PRIVATE_KEY": key.read_text(encoding="utf-8"),
        "COSIGN_PASSWORD": password.read_text(encoding="utf-8"),
    }
