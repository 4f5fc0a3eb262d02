"""The environment variables of `delivery guard` and `delivery verdicts`: read once, refused in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from delivery.errors import Refused
from delivery.gitops.branch import ENVIRONMENTS
from delivery.guard import auto_promotion
from delivery.images.attestations import public_key
from delivery.notifications import channels

ENVIRONMENTS_VARIABLE = "DELIVERY_ENVIRONMENTS"
PORT_VARIABLE = "DELIVERY_PORT"
PROMETHEUS_VARIABLE = "DELIVERY_PROMETHEUS"
KEY_VARIABLE = "DELIVERY_SCAN_KEY"
SBOM_KEY_VARIABLE = "DELIVERY_SBOM_KEY"
REGISTRIES_VARIABLE = "DELIVERY_REGISTRIES"


@dataclass(frozen=True)
class GuardConfig:
    environments: tuple[str, ...] = ENVIRONMENTS
    """Which are watched."""
    port: int | None = None
    """Where it answers over HTTP; None: nowhere."""
    prometheus: str = ""
    """Says where users are too few for a verdict, and has a rollback's request counts; empty: it does neither."""
    promotions: tuple[auto_promotion.Promotion, ...] = ()
    channels: Mapping[str, channels.Channel] = field(default_factory=dict)
    key: EllipticCurvePublicKey | None = None
    """Who signs scan results."""
    sbom_key: EllipticCurvePublicKey | None = None
    """Who signs the lists of what is in an image."""
    registries: Mapping[str, str] = field(default_factory=dict)
    """Where a registry is reached from here, by its name in images, where those differ."""

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Self:
        """Raises Refused."""
        named, port = variables.get(ENVIRONMENTS_VARIABLE, ""), variables.get(PORT_VARIABLE, "")
        environments = tuple(named.split(",")) if named else ENVIRONMENTS
        folder = variables.get(channels.VARIABLE) or variables.get(channels.FORMER_VARIABLE, "")
        return cls(
            environments,
            int(port) if port.isdecimal() else None,
            variables.get(PROMETHEUS_VARIABLE, "").rstrip("/"),
            auto_promotion.parse(variables.get(auto_promotion.VARIABLE, ""), environments),
            channels.channels(folder),
            _key(KEY_VARIABLE, variables.get(KEY_VARIABLE, "")),
            _key(SBOM_KEY_VARIABLE, variables.get(SBOM_KEY_VARIABLE, "")),
            registries_from(variables.get(REGISTRIES_VARIABLE, "")),
        )


def _key(variable: str, path: str) -> EllipticCurvePublicKey | None:
    """The public key in the file that a variable names, None where it names none."""
    if not path:
        return None
    try:
        return public_key(Path(path).read_bytes())
    except (OSError, Refused) as error:
        raise Refused(f"{variable} names {path}, which cannot be used: {error}.") from error


def registries_from(text: str) -> dict[str, str]:
    """HOST=ADDRESS pairs, separated by commas. Raises Refused."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    for host, _, address in pairs:
        if not host or not address.startswith(("http://", "https://")):
            raise Refused(
                f"{REGISTRIES_VARIABLE} must be HOST=http(s)://ADDRESS, separated by commas, not {text!r}."
            )
    return {host: address.rstrip("/") for host, _, address in pairs}
