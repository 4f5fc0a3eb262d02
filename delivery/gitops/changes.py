"""What the commands and the guard both write to the branch: a release in an environment's place, once it is checked."""

from delivery.errors import Refused
from delivery.gitops.branch import Change, path_of
from delivery.gitops.git import Repository
from delivery.gitops.release import NAME, Release

# How an environment's first release reaches its users; later ones keep what the release file says.
_FIRST_STRATEGY = {"dev": "rolling-update"}
_USUAL_STRATEGY = "canary"


def strategy_of(now: Release | None, environment: str) -> str:
    return now.strategy if now else _FIRST_STRATEGY.get(environment, _USUAL_STRATEGY)


def replacing(
    now: Release | None,
    wanted: Release,
    environment: str,
    subject: str,
    trailers: str,
    *,
    reason: str | None = None,
) -> Change | None:
    """The change from one release to another, or None when they are the same."""
    if now == wanted:
        return None
    body = (
        f"image: {wanted.image.repository}@{wanted.image.digest}\n"
        f"version: {wanted.image.version}" + (f" (was {now.image.version})" if now else "") + "\n"
        f"revision: {wanted.revision}\n"
        f"strategy: {wanted.strategy}\n"
    )
    why = f"{' '.join(reason.split())}\n\n" if reason else ""
    return Change({path_of(environment): wanted.to_yaml()}, f"{subject}\n\n{why}{body}\n{trailers}\n")


def refuse_unknown_commit(repository: Repository, wanted: Release) -> None:
    if repository.commit_on_remote(wanted.revision) is None:
        raise Refused(f"{repository.remote} has no branch with the commit {wanted.revision} any more.")


def refuse_incomplete(repository: Repository, wanted: Release, environment: str) -> None:
    """Whatever Argo CD will read must exist at the revision."""
    short = wanted.revision[:12]
    if not NAME.fullmatch(wanted.strategy):
        raise Refused(f"{wanted.strategy!r} cannot be the name of a strategy.")
    chart, strategy = "charts/crm/Chart.yaml", f"rollouts/{wanted.strategy}.yaml"
    settings = f"environments/{environment}/values.yaml"
    found = repository.paths(wanted.revision, chart, strategy, settings)
    if chart not in found:
        raise Refused(f"The revision {short} has no {chart}, so it cannot be deployed.")
    if strategy not in found:
        files = repository.paths(wanted.revision, "rollouts/")
        known = sorted(path.removeprefix("rollouts/").removesuffix(".yaml") for path in files)
        raise Refused(
            f"The revision {short} has no strategy {wanted.strategy}; it has: {', '.join(known) or 'none'}."
        )
    if settings not in found:
        raise Refused(f"The revision {short} has no {settings}, so there is no environment {environment}.")
