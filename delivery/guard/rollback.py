"""The rollback in Git: one commit that says why, and quarantines the image where it is to blame."""

from collections.abc import Mapping
from datetime import datetime

from delivery.errors import Refused
from delivery.gitops import promoted, quarantine
from delivery.gitops.branch import ROLLBACK_TRAILER, Change, EnvironmentsBranch, Published, path_of, publish
from delivery.gitops.git import Repository
from delivery.gitops.promoted import PromotionRecord
from delivery.guard.decision import Rollback
from delivery.texts import one_line

RUNBOOK = "docs/runbooks/RolloutAborted.md"
_MOST_REASONS = 1000  # letters, of all together


def roll_back(
    repository: Repository,
    environment: str,
    decision: Rollback,
    *,
    branch: EnvironmentsBranch | None = None,
    now: datetime,
    records: Mapping[str, PromotionRecord] | None = None,
) -> Published | None:
    """Push the rollback, or nothing if Git's release has changed meanwhile: a person's newer word counts.

    `branch`: as it was fetched for the decision. `records`: what became of each environment's releases, for the copy on
    the branch.

    Raises Refused.
    """

    def change(branch: EnvironmentsBranch) -> Change | None:
        if branch.last_commit(environment) != decision.commit:
            return None
        files = {path_of(environment): decision.to.release.to_yaml()}
        if decision.blame:
            files[quarantine.FILE] = _quarantined(branch, environment, decision, now)
        if records:
            files[promoted.FILE] = promoted.copy_text({**promoted.copies_of(branch), **records})
        return Change(files, _message(environment, decision))

    return publish(repository, change, branch)


def _quarantined(branch: EnvironmentsBranch, environment: str, decision: Rollback, now: datetime) -> str:
    """The file of quarantined images with this one added."""
    image = decision.left.image
    # A rollback must not wait for somebody who repairs a file: what cannot be read is written anew.
    try:
        known = quarantine.entries(branch)
    except Refused:
        known = ()
    at, why = f"{now:%Y-%m-%dT%H:%M:%SZ}", one_line("; ".join(decision.reasons), _MOST_REASONS)
    entry = quarantine.QuarantinedImage(image.digest, image.version, environment, at, why)
    return quarantine.text_with(known, entry)


def _message(environment: str, decision: Rollback) -> str:
    left, to = decision.left.image.version, decision.to.release.image.version
    why = "\n".join(f"- {one_line(reason)}" for reason in decision.reasons)
    blame = f"The image of {left} is quarantined." if decision.blame else "No image is quarantined."
    return (
        f"automatic rollback of {environment} to {to}\n\n"
        f"{left} did not pass:\n{why}\n\n"
        f"{blame} What to do now: {RUNBOOK}\n\n"
        "By: delivery guard\n"
        f"{ROLLBACK_TRAILER}: {decision.to.commit}\n"
        f"Rolled-back-from: {decision.commit}\n"
    )
