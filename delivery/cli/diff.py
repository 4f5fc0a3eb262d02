"""What promoting one environment to another would change in it: the objects of both releases, rendered and compared."""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.text import Text

from delivery import processes
from delivery.errors import Refused
from delivery.gitops.branch import fetch_existing
from delivery.gitops.changes import refuse_incomplete, refuse_unknown_commit, strategy_of
from delivery.gitops.git import Repository
from delivery.gitops.release import Release, environment_name
from delivery.kubernetes.objects import BEFORE, REVISION, Object
from delivery.texts import one_line

_CHART = "charts/crm"
_HELM_SECONDS = 60.0
_MOST_RENDERED = 16 * 1024 * 1024
# What the chart looks for in the cluster: the Prometheus operator is part of the platform.
_APIS = "--api-versions=monitoring.coreos.com/v1"
# A name that ends in its content's hash is the same object with another content.
_CONTENT_HASH = re.compile(r"-[0-9a-f]{8,64}$")
# These change with every release, in every object.
_MARKS = {"app.kubernetes.io/version", "helm.sh/chart", REVISION, BEFORE[REVISION]}
_STYLES = {"+": "not bold green", "-": "not bold red", "@": "not bold cyan"}  # by how a line begins


@dataclass(frozen=True)
class Difference:
    """Of two releases in one environment. `changes` has a unified diff by object."""

    title: str
    changes: dict[str, list[str]] = field(default_factory=dict)
    only_marks: list[str] = field(default_factory=list)
    """Objects of which nothing differs but the release's version and revision."""


def promoting(repository: Repository, source: str, target: str, *, more: Sequence[str] = ()) -> Difference:
    """Render the target's release, and what `delivery promote` would make of it; `more` value files of the revision.

    Raises Refused.
    """
    environment_name(source)
    environment_name(target)
    if source == target:
        raise Refused(f"{source} cannot be promoted to itself.")
    branch = fetch_existing(repository)
    release, before = branch.current(source), branch.current(target)
    if release is None:
        raise Refused(f"{source} has no release that could be promoted.")
    after = release.with_strategy(strategy_of(before, target))
    was = before.image.version if before else "no release"
    title = f"Promoting {source} ({after.image.version}) to {target} ({was})"
    if before == after:
        return Difference(title)
    repository.fetch_history()
    objects = [_rendered(repository, each, target, more) if each else {} for each in (before, after)]
    return _compared(title, *objects)


def shown(found: Difference) -> Text:
    """The difference with colours, for a terminal that has them."""
    if not found.changes and not found.only_marks:
        return Text(f"{found.title} changes nothing.")
    text = Text(f"{found.title} changes:\n", style="bold")
    for name, lines in found.changes.items():
        text.append(f"\n{name}\n", "bold")
        for line in lines:
            text.append(f"{line}\n", _STYLES.get(line[:1], "not bold"))
    if found.only_marks:
        text.append(f"\nOnly version and revision differ: {', '.join(found.only_marks)}", "not bold dim")
    text.rstrip()
    return text


def _rendered(
    repository: Repository, release: Release, environment: str, more: Sequence[str]
) -> dict[str, Object]:
    """The objects of a release by kind and name."""
    refuse_unknown_commit(repository, release)
    refuse_incomplete(repository, release, environment)
    with tempfile.TemporaryDirectory(prefix="delivery-diff-") as scratch:
        folder = Path(scratch)
        repository.check_out(release.revision, folder)
        # As in charts/environments/templates/applicationsets.yaml: the files in their order, the image over them.
        files = [f"rollouts/{release.strategy}.yaml", f"environments/{environment}/values.yaml", *more]
        command = ["helm", "template", "crm", _CHART, f"--namespace=crm-{environment}"]
        command += [_APIS, *(f"--values={file}" for file in files)]
        values = {"release": {"revision": release.revision}, "image": asdict(release.image)}
        text = _helm([*command, "--values=-"], folder, yaml.safe_dump(values), release)
    return dict(_objects(text))


def _helm(command: Sequence[str], folder: Path, given: str, release: Release) -> str:
    try:
        done = processes.run(
            command, cwd=folder, given=given.encode(), seconds=_HELM_SECONDS, most=_MOST_RENDERED
        )
        reason = one_line(done.errors.decode(errors="replace"), 1000)
        why = (reason or f"exit status {done.status}") if done.status else ""
    except FileNotFoundError as error:
        raise Refused("The program helm is not on PATH; install it, or see Argo CD's own diff.") from error
    except processes.Late as late:
        why = f"helm {late}"
    if why:
        raise Refused(
            f"The chart of {release.image.version} ({release.revision[:12]}) cannot be rendered: {why}"
        )
    return done.output.decode()


def _objects(text: str) -> Iterator[tuple[str, Object]]:
    for each in yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if each:
            name = _CONTENT_HASH.sub("-…", each["metadata"]["name"])
            yield f"{each['kind']} {name}", each


def _compared(title: str, before: dict[str, Object], after: dict[str, Object]) -> Difference:
    found = Difference(title)
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        if was and now and _without_marks(was) == _without_marks(now):
            found.only_marks.append(name)
            continue
        lines = list(difflib.unified_diff(_lines(was), _lines(now), lineterm="", n=3))[2:]
        what = "" if was and now else " (new)" if was is None else " (removed)"
        found.changes[f"{name}{what}"] = lines
    return found


def _lines(thing: Object | None) -> list[str]:
    return yaml.safe_dump(thing, sort_keys=True, width=1000).splitlines() if thing else []


def _without_marks(thing: Any) -> Any:
    if isinstance(thing, dict):
        return {key: _without_marks(value) for key, value in thing.items() if key not in _MARKS}
    return [_without_marks(each) for each in thing] if isinstance(thing, list) else thing
