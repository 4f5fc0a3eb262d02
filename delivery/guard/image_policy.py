"""The analysis `security`: may this image be released? It is asked before the new version has its first request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from delivery.errors import Refused
from delivery.gitops import quarantine
from delivery.gitops.branch import fetch_existing
from delivery.gitops.git import Repository
from delivery.guard.config import KEY_VARIABLE
from delivery.guard.liveness import VERDICT_SECONDS, Liveness
from delivery.guard.log import now
from delivery.images import attestations as scans
from delivery.images import sbom
from delivery.images.registry import Reference, attestations, bundles
from delivery.texts import one_line

FINE, BAD, UNKNOWN = "fine", "bad", "unknown"


@dataclass(frozen=True)
class CheckResult:
    """As JSON for Argo Rollouts: proven fine, proven bad or not known, and why in words for a person."""

    verdict: str
    says: str


@dataclass
class ImagePolicy:
    """Answers from Git and the registry. The repository is its own: the guard's may be in the middle of a fetch."""

    repository: Repository
    key: EllipticCurvePublicKey | None = None
    registries: Mapping[str, str] = field(default_factory=dict)
    """Where a registry is reached from here, by its name in images, where those differ."""
    sbom_key: EllipticCurvePublicKey | None = None
    """Who signs the lists of what is in an image; without it they are not asked for here, only by Kyverno."""
    now: Callable[[], datetime] = now
    liveness: Liveness = field(default_factory=Liveness)
    patience: float = 4.0
    """Seconds for a request that waits for another; Argo Rollouts waits 5 s for an answer and then asks again."""
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def verdict(self, image: str) -> CheckResult:
        """Raises Refused if that is no image by its digest."""
        reference = Reference.parse(image)
        if reference.digest is None:
            raise Refused(f"The image {image!r} needs a digest: a tag may mean another image tomorrow.")
        try:
            return self._judge(reference, reference.digest)
        except Refused as refusal:  # Git or the registry did not answer, or there is no result that counts
            return CheckResult(UNKNOWN, one_line(refusal).removesuffix("."))

    def _judge(self, reference: Reference, digest: str) -> CheckResult:
        if not self._one_at_a_time.acquire(timeout=self.patience):
            return CheckResult(UNKNOWN, "Git has not answered the request before this one yet")
        try:
            self.liveness.expect("security", VERDICT_SECONDS)
            branch = fetch_existing(self.repository)
            known = {each.image.repository for each in branch.readable_releases().values()}
            quarantined = [each for each in quarantine.entries(branch) if each.digest == digest]
        finally:
            self.liveness.rest("security")
            self._one_at_a_time.release()
        # Whoever asks must not be able to send the guard to any other server.
        if reference.repository not in known:
            return CheckResult(UNKNOWN, f"no release file in Git names the repository {reference.repository}")
        for entry in quarantined:
            return CheckResult(BAD, one_line(f"quarantined since {entry.at}: {entry.reason}"))
        if self.key is None:
            return CheckResult(UNKNOWN, f"the guard has no key ({KEY_VARIABLE}) to believe a scan result by")
        address = self.registries.get(reference.host)
        envelopes = attestations(reference, address=address)
        scan = scans.newest(envelopes, digest=digest, key=self.key, now=self.now())
        if scan.unfit or self.sbom_key is None:
            return CheckResult(BAD if scan.unfit else FINE, str(scan))
        lists = bundles(reference, sbom.PREDICATE, address=address)
        count = sbom.packages(lists, digest=digest, key=self.sbom_key)
        return CheckResult(FINE, f"{scan}; {count} packages in its signed list (SBOM)")
