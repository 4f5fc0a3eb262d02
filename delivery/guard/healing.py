"""Acts in Git: one commit that goes back, says why, and quarantines the image where it is to blame."""

from datetime import datetime

from delivery import quarantine
from delivery.environments import (
    ROLLBACK_TRAILER,
    Change,
    Environments,
    Past,
    Published,
    path_of,
    publish,
)
from delivery.errors import Refused, UnreadableRelease
from delivery.git import Repository
from delivery.guard.decision import Heal
from delivery.release import MOST_BYTES
from delivery.texts import one_line

RUNBOOK = "RolloutAborted.md"
_MOST_RELEASES = 100
_MOST_REASONS = 1000  # letters, of all together


def heal(
    repository: Repository,
    environment: str,
    decision: Heal,
    *,
    branch: Environments | None = None,
    now: datetime,
    runbooks: str,
) -> Published | None:
    """Push the heal, or nothing if Git's release has changed meanwhile: a person's newer word counts.

    `branch`: as it was fetched for the decision.

    Raises Refused.
    """

    def change(branch: Environments) -> Change | None:
        if branch.last_commit(environment) != decision.commit:
            return None
        files = {path_of(environment): decision.to.release.to_yaml()}
        if decision.blame:
            files[quarantine.FILE] = _quarantined(branch, environment, decision, now)
        return Change(files, _message(environment, decision, runbooks))

    return publish(repository, change, branch)


def past_releases(repository: Repository, branch: Environments, environment: str) -> tuple[Past, ...]:
    """The last hundred releases of an environment, newest first, without what cannot be read."""
    found: list[Past] = []
    commits = repository.log(branch.tip, path_of(environment), _MOST_RELEASES) if branch.tip else []
    repository.read_ahead(((commit, path_of(environment)) for commit in commits), MOST_BYTES)
    for commit in commits:
        try:
            release = branch.release(environment, at=commit)
        except UnreadableRelease:
            continue
        if release:
            found.append(Past(commit, release))
    return tuple(found)


def _quarantined(branch: Environments, environment: str, decision: Heal, now: datetime) -> str:
    """The file of quarantined images with this one added."""
    image = decision.left.image
    # Going back must not wait for somebody who repairs a file: what cannot be read is written anew.
    try:
        known = quarantine.entries(branch)
    except Refused:
        known = ()
    entry = quarantine.Entry(
        digest=image.digest,
        version=image.version,
        environment=environment,
        at=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        reason=one_line("; ".join(decision.reasons), _MOST_REASONS),
    )
    return quarantine.text_with(known, entry)


def _message(environment: str, decision: Heal, runbooks: str) -> str:
    left, to = decision.left.image.version, decision.to.release.image.version
    why = "\n".join(f"- {one_line(reason)}" for reason in decision.reasons)
    blame = f"The image of {left} is quarantined." if decision.blame else "No image is quarantined."
    return (
        f"heal {environment}: back to {to}\n\n"
        f"{left} did not pass:\n{why}\n\n"
        f"{blame} What to do now: {runbooks}{RUNBOOK}\n\n"
        "By: delivery guard\n"
        f"{ROLLBACK_TRAILER}: {decision.to.commit}\n"
        f"Healed-from: {decision.commit}\n"
    )
