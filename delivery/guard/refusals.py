"""Keeps what is quarantined refused: by the cluster's admission, and in Git whatever somebody has reverted there.

`quarantine.yaml` says what is quarantined, and people lift that by a commit of its own (`delivery unquarantine`). A
commit that lifts it and releases the image as well, such as a revert of the guard's rollback, lifts nothing. Neither
does a branch that was moved by force. Both get the entry back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field

from delivery.errors import Refused
from delivery.gitops import quarantine
from delivery.gitops.branch import Change, EnvironmentsBranch, publish
from delivery.gitops.git import Repository
from delivery.gitops.quarantine import QuarantinedImage
from delivery.kubernetes.client import REFUSED, Cluster

_KEY = "quarantine"


@dataclass
class Refusals:
    cluster: Cluster
    repository: Repository
    stable: Callable[[str], str]
    """The stable digest of an environment, which is not refused there; empty where it is not known."""
    _kept: dict[str, str] = field(default_factory=dict)
    """The keys of the ConfigMap."""

    def follow(self, branch: EnvironmentsBranch, environments: Iterable[str]) -> str:
        """Bring ConfigMap and quarantine.yaml to where they belong; what was put back, empty where nothing was.

        Raises Refused, also where quarantine.yaml cannot be read: nothing is lifted meanwhile.
        """
        there = quarantine.entries(branch)
        tip, known = self._known()
        wanted = {each.digest: each for each in there}
        lost = {digest: each for digest, each in known.items() if digest not in wanted}
        if lost and branch.tip != tip:
            lifted = self._lifted(branch, tip)
            lost = {digest: each for digest, each in lost.items() if digest not in lifted}
        wanted |= lost
        done = self._put_back(lost, branch) if lost else ""
        self._keep(
            _KEY, json.dumps({"tip": branch.tip, "entries": [asdict(each) for each in wanted.values()]})
        )
        for environment in environments:
            stable = self.stable(environment)
            self._keep(environment, "\n".join(sorted(digest for digest in wanted if digest != stable)))
        return done

    def _known(self) -> tuple[str, dict[str, QuarantinedImage]]:
        """The branch's tip at the last time, and what was quarantined then, by digest."""
        text = self._kept.get(_KEY) or self.cluster.guard_data(REFUSED, _KEY)
        if not text:
            return "", {}
        try:
            read = json.loads(text)
            return str(read["tip"]), {each["digest"]: QuarantinedImage(**each) for each in read["entries"]}
        except (ValueError, LookupError, TypeError) as error:
            raise Refused(
                f"The ConfigMap {REFUSED} cannot be read ({error}); delete its key {_KEY}."
            ) from error

    def _lifted(self, branch: EnvironmentsBranch, since: str) -> set[str]:
        """The digests that commits since then have taken out of quarantine.yaml, and released nowhere at once."""
        if branch.tip is None or not since or not self.repository.is_ancestor(since, of=branch.tip):
            return set()
        lifted: set[str] = set()
        before = self._digests(branch, since)
        for commit in reversed(self.repository.log(branch.tip, quarantine.FILE, since=since)):
            after = self._digests(branch, commit)
            lifted |= before - after - self._released(branch, commit)
            lifted -= after
            before = after
        return lifted

    def _digests(self, branch: EnvironmentsBranch, commit: str) -> set[str]:
        try:
            return {each.digest for each in quarantine.entries(branch, at=commit)}
        except Refused:
            return set()

    def _released(self, branch: EnvironmentsBranch, commit: str) -> set[str]:
        """What is named by the release files that a commit has changed."""
        there = branch.readable_releases(at=commit)
        return {there[name].image.digest for name in there if branch.has_changed(name, commit)}

    def _put_back(self, lost: Mapping[str, QuarantinedImage], branch: EnvironmentsBranch) -> str:
        names = ", ".join(each.version for each in lost.values())

        def change(branch: EnvironmentsBranch) -> Change | None:
            there = quarantine.entries(branch)
            missing = [each for each in lost.values() if each.digest not in {one.digest for one in there}]
            if not missing:
                return None
            text = quarantine.text_of([*there, *missing])
            message = (
                f"quarantine {names} again\n\nNo revert lifts a quarantine, and no branch that was moved by force:"
                " delivery unquarantine DIGEST --reason … does.\n\nBy: delivery guard\n"
            )
            return Change({quarantine.FILE: text}, message)

        return str(publish(self.repository, change, branch) or "")

    def _keep(self, key: str, text: str) -> None:
        if key not in self._kept:
            self._kept[key] = self.cluster.guard_data(REFUSED, key)
        if self._kept[key] != text:
            self.cluster.write_guard_data(REFUSED, key, text)
            self._kept[key] = text
