"""Where an environment stands, by what Git, Argo Rollouts and Argo CD say."""

from dataclasses import dataclass, field

from delivery.gitops.freeze import Frozen
from delivery.gitops.quarantine import QuarantinedImage
from delivery.gitops.release import Release


@dataclass(frozen=True)
class InGit:
    """The release file, and the commit that brought it; `problem` where it cannot be read."""

    commit: str | None = None
    release: Release | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Version:
    """A ReplicaSet of the Rollout, by what people know it as."""

    version: str
    digest: str | None
    pod_hash: str
    ready: int
    weight: int | None


@dataclass(frozen=True)
class Verdict:
    """The newest answer to one question about the canary."""

    question: str
    phase: str
    value: str | None
    message: str | None


@dataclass(frozen=True)
class InCluster:
    """What Argo Rollouts does in an environment."""

    phase: str | None = None
    message: str | None = None
    step: str | None = None
    aborted: bool = False
    stable: Version | None = None
    canary: Version | None = None
    verdicts: list[Verdict] = field(default_factory=list)


@dataclass(frozen=True)
class InArgoCD:
    """What Argo CD thinks of an environment; `behind` while it has not seen the release in Git yet."""

    sync: str | None = None
    health: str | None = None
    revision: str | None = None
    behind: bool = False
    message: str | None = None


@dataclass(frozen=True)
class Environment:
    name: str
    git: InGit
    cluster: InCluster | None = None
    argocd: InArgoCD | None = None


@dataclass(frozen=True)
class Rules:
    """What may not be released just now; `problems` where a file cannot be read."""

    quarantined: tuple[QuarantinedImage, ...] = ()
    frozen: tuple[Frozen, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """All environments; `unknown` says why what runs is not known."""

    environments: list[Environment]
    rules: Rules
    unknown: str | None = None
