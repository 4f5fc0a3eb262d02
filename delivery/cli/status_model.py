"""What Git, Argo Rollouts and Argo CD report about the environments."""

from dataclasses import dataclass, field

from delivery.gitops.freeze import Frozen
from delivery.gitops.quarantine import QuarantinedImage
from delivery.gitops.release import Release


@dataclass(frozen=True)
class GitStatus:
    """The release file, and the commit that brought it; `problem` where it cannot be read."""

    commit: str | None = None
    release: Release | None = None
    problem: str | None = None


@dataclass(frozen=True)
class VersionStatus:
    """A ReplicaSet of the Rollout, by the version that it runs."""

    version: str
    digest: str | None
    pod_hash: str
    ready: int
    weight: int | None


@dataclass(frozen=True)
class AnalysisVerdict:
    """The newest answer of one analysis about the canary."""

    question: str
    phase: str
    value: str | None
    message: str | None


@dataclass(frozen=True)
class ClusterStatus:
    """What Argo Rollouts reports."""

    phase: str | None = None
    message: str | None = None
    step: str | None = None
    aborted: bool = False
    stable: VersionStatus | None = None
    canary: VersionStatus | None = None
    verdicts: list[AnalysisVerdict] = field(default_factory=list)


@dataclass(frozen=True)
class ArgoCDStatus:
    """What Argo CD reports; `behind` while it has not seen the release in Git yet."""

    sync: str | None = None
    health: str | None = None
    revision: str | None = None
    behind: bool = False
    message: str | None = None


@dataclass(frozen=True)
class EnvironmentStatus:
    name: str
    git: GitStatus
    cluster: ClusterStatus | None = None
    argocd: ArgoCDStatus | None = None


@dataclass(frozen=True)
class Restrictions:
    """What must not be released at present; `problems` where a file cannot be read."""

    quarantined: tuple[QuarantinedImage, ...] = ()
    frozen: tuple[Frozen, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Overview:
    """All environments; `unknown` says why the cluster's part is not known."""

    environments: list[EnvironmentStatus]
    restrictions: Restrictions
    unknown: str | None = None
