"""Promotes by itself what has been healthy long enough in the environment before, and never to production.

How long is read from the Rollout's own conditions and from Git, so a guard that is restarted begins no new soak. What
the next environment has had already is not promoted again, whatever became of it there.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from delivery.errors import Refused
from delivery.gitops import freeze, quarantine
from delivery.gitops.branch import Change, EnvironmentsBranch, publish
from delivery.gitops.changes import refuse_incomplete, refuse_unknown_commit, replacing, strategy_of
from delivery.gitops.git import HISTORY_COMMITS, Repository
from delivery.gitops.release import NAME, Release
from delivery.kubernetes.client import Cluster

VARIABLE = "DELIVERY_PROMOTIONS"
_BY_A_PERSON = "production"
_FORM = re.compile(rf"({NAME.pattern})>({NAME.pattern})=([1-9][0-9]*)([smh])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours"}


@dataclass(frozen=True)
class Promotion:
    """From one environment to another after a soak."""

    source: str
    target: str
    soak: timedelta
    text: str
    """As the variable has it."""


def parse(text: str, environments: Collection[str]) -> tuple[Promotion, ...]:
    """The promotions that the variable names, like `dev>staging=15m`, of watched environments. Raises Refused."""
    found: dict[str, Promotion] = {}
    for each in (part.strip() for part in text.split(",")):
        if not each:
            continue
        match = _FORM.fullmatch(each)
        if not match:
            raise Refused(f"{VARIABLE} is a list like dev>staging=15m (s, m or h), which {each!r} is not.")
        source, target, number, unit = match[1], match[3], match[5], match[6]
        if target == _BY_A_PERSON:
            raise Refused(
                f"{VARIABLE} names {each!r}, but to {target} only a person promotes:"
                f" delivery promote {source} {target}."
            )
        if strangers := {source, target} - set(environments):
            raise Refused(f"{VARIABLE} names {each!r}, but {min(strangers)} is not watched.")
        if source == target or target in found:
            raise Refused(f"{VARIABLE}: {target} is promoted to from one other environment, not by {each!r}.")
        found[target] = Promotion(source, target, timedelta(**{_UNITS[unit]: int(number)}), each)
    return tuple(found.values())


def promote(
    promotion: Promotion,
    cluster: Cluster,
    repository: Repository,
    branch: EnvironmentsBranch,
    now: datetime,
) -> str:
    """Promote if it is time; what was done or is waited for, empty where nothing is to be done.

    Raises Refused.
    """
    source, target = promotion.source, promotion.target
    rollout = cluster.rollout(source)
    settled = rollout.settled_since if rollout else None
    if rollout is None or settled is None or now < settled + promotion.soak:
        return ""
    release, commit = branch.current(source), branch.last_commit(source)
    if release is None or commit is None or not rollout.is_of(release):
        return ""
    since = max(settled, repository.time(commit))
    if now < since + promotion.soak:
        return ""
    looked_at = branch.last_commit(target)

    hindrance = partial(_hindrance, promotion, release, cluster, now)
    if why := hindrance(branch):
        return "" if why == _SAME else f"{release.image.version} is not promoted: {why}"
    # Who runs a commit that is older than these is not promoted to by itself: it counts as not contained.
    repository.fetch_history(HISTORY_COMMITS)
    refuse_unknown_commit(repository, release)

    def decide(branch: EnvironmentsBranch) -> Change | None:
        if (branch.last_commit(source), branch.last_commit(target)) != (commit, looked_at):
            return None  # somebody was faster: it is decided anew
        if why := hindrance(branch):
            raise Refused(f"{release.image.version} is not promoted: {why}")
        was = branch.current(target)
        wanted = release.with_strategy(strategy_of(was, target))
        # Newer, or of another branch of the code: either would be lost.
        if was and not repository.is_ancestor(was.revision, of=release.revision):
            raise Refused(
                f"{target} runs a commit that {release.image.version} of {source} does not contain:"
                f" a person decides, by delivery promote {source} {target}."
            )
        refuse_incomplete(repository, wanted, target)
        return replacing(
            was,
            wanted,
            target,
            f"promote {release.image.version} from {source} to {target}",
            f"By: delivery guard\nPromoted-from: {commit}",
            reason=f"Healthy in {source} since {since:%Y-%m-%d %H:%M:%S} UTC: {promotion.text}.",
        )

    return str(publish(repository, decide, branch) or "")


_SAME = "it is there"


def _hindrance(
    promotion: Promotion,
    release: Release,
    cluster: Cluster,
    now: datetime,
    branch: EnvironmentsBranch,
) -> str:
    """Why this release cannot go on just now; empty if nothing stands in the way."""
    target = promotion.target
    there = branch.current(target)
    if there and _is_same(there, release):
        return _SAME
    if any(_is_same(past.release, release) for past in branch.releases(target)):
        return f"{target} has had it already and left it, so a person decides."
    if release.image.digest in {entry.digest for entry in quarantine.entries(branch)}:
        return "it is quarantined."
    if stopped := freeze.frozen(branch, target, now):
        return f"{stopped}."
    rollout = cluster.rollout(target)
    if there and not (rollout and rollout.settled_since and rollout.is_of(there)):
        return f"{target} is in the middle of a release, or not healthy."
    return ""


def _is_same(one: Release, other: Release) -> bool:
    return (one.revision, one.image.digest) == (other.revision, other.image.digest)
