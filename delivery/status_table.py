"""What `delivery status` shows: a table of the environments, and below it what may not be released."""

from collections.abc import Iterable, Iterator

from rich.table import Table
from rich.text import Text

from delivery.standing import Environment, InArgoCD, InCluster, InGit, Rules, Verdict, Version
from delivery.verdicts import PROVEN, WEIGHED, evidence

NOTHING = "-"
_COLOURS = {
    "green": {"Successful", "Healthy", "Synced", "Succeeded"},
    "red": {"Failed", "Error", "Degraded", "Missing"},
    "yellow": {"Running", "Pending", "Inconclusive", "Progressing", "Paused", "Suspended", "OutOfSync"},
}


_WATCH = "-watch"
_METER = 9  # characters from proven fine to proven bad
_LEGEND = "evidence: ●───┼──── proven fine, ────┼───● proven bad"
_ROUND = 10.0


def lines(rules: Rules) -> Iterator[Text]:
    """One line for each freeze, each quarantined image and each file that cannot be read."""
    for frozen in rules.frozen:
        yield Text(f"Frozen: {frozen}", style="cyan")
    for entry in rules.quarantined:
        words = f"Quarantined: {entry.version} ({entry.digest[:15]}) since {entry.at}, failed in {entry.environment}"
        yield Text(f"{words}: {entry.reason}", style="magenta")
    for problem in rules.problems:
        yield Text(problem, style="red")


def table(environments: Iterable[Environment]) -> Table:
    """One row an environment."""
    environments = list(environments)
    verdicts = [verdict for each in environments if each.cluster for verdict in each.cluster.verdicts]
    weighed = any(_weighed(verdict) is not None for verdict in verdicts)
    shown = Table(show_lines=True, caption=_LEGEND if weighed else None)
    for heading in ("environment", "Git", "stable", "canary", "verdicts", "Argo CD"):
        shown.add_column(heading, overflow="fold")
    for each in environments:
        shown.add_row(
            Text(each.name, style="bold"),
            _git_cell(each.git),
            _stable_cell(each.cluster),
            _canary_cell(each.cluster),
            _verdict_cell(each.cluster),
            _argocd_cell(each.argocd),
        )
    return shown


def _git_cell(git: InGit) -> Text:
    if git.problem:
        return Text(git.problem, style="red")
    if git.release is None:
        return Text("no release yet", style="dim")
    release = git.release
    cell = Text(f"{release.image.version}\n", style="bold")
    details = (release.strategy, f"revision {release.revision[:8]}", f"image {release.image.digest[7:15]}")
    cell.append("\n".join(details), "not bold")
    return cell


def _stable_cell(cluster: InCluster | None) -> Text:
    if cluster is None or cluster.stable is None:
        return Text(NOTHING, style="dim")
    cell = _version_cell(cluster.stable)
    if cluster.canary is None:
        cell.append("\n").append(_coloured(cluster.phase))
    return cell


def _canary_cell(cluster: InCluster | None) -> Text:
    if cluster is None or cluster.canary is None:
        return Text(NOTHING, style="dim")
    cell = _version_cell(cluster.canary)
    if cluster.step:
        cell.append(f"\nstep {cluster.step}")
    cell.append("\n").append(Text("Aborted", style="red") if cluster.aborted else _coloured(cluster.phase))
    if cluster.message:
        cell.append(f"\n{cluster.message}")
    return cell


def _version_cell(version: Version) -> Text:
    cell = Text(version.version, style="bold")
    if version.weight is not None:
        cell.append(f" {version.weight} %", "not bold")
    return cell.append(f"\n{version.ready} ready", "not bold")


def _verdict_cell(cluster: InCluster | None) -> Text:
    if cluster is None or not cluster.verdicts:
        return Text(NOTHING, style="dim")
    cell = Text()
    for verdict in _worth_showing(cluster.verdicts):
        cell.append("\n" if cell else "").append(f"{verdict.question} ").append(_coloured(verdict.phase))
        weighed = _weighed(verdict)
        if weighed is not None:
            cell.append("\n").append(_meter(weighed))
        detail = verdict.message or (verdict.value if weighed is None else None)
        if detail:
            cell.append(f"\n  {detail}", "dim")
    return cell


def _worth_showing(verdicts: list[Verdict]) -> list[Verdict]:
    """A question that is asked twice over, at the step and in the background, is shown once while all is well."""
    asked = {verdict.question for verdict in verdicts}
    return [
        verdict
        for verdict in verdicts
        if verdict.phase in _COLOURS["red"]
        or verdict.question.removesuffix(_WATCH) not in asked - {verdict.question}
    ]


def _weighed(verdict: Verdict) -> float | None:
    return evidence(verdict.value) if verdict.question.removesuffix(_WATCH) in WEIGHED else None


def _meter(weighed: float) -> Text:
    """The evidence between proven fine on the left and proven bad on the right."""
    at = round((max(-PROVEN, min(PROVEN, weighed)) + PROVEN) / (2 * PROVEN) * (_METER - 1))
    colour = "green" if weighed <= -PROVEN else "red" if weighed >= PROVEN else "yellow"
    marks = ["─"] * _METER
    marks[_METER // 2] = "┼"
    marks[at] = "●"
    return Text("".join(marks), style=colour).append(
        f" {weighed:+.{0 if abs(weighed) >= _ROUND else 1}f}", "not bold default"
    )


def _argocd_cell(argocd: InArgoCD | None) -> Text:
    if argocd is None:
        return Text(NOTHING, style="dim")
    cell = Text()
    if argocd.sync:
        cell.append(_coloured(argocd.sync)).append(", ").append(_coloured(argocd.health))
        cell.append(f"\nat {(argocd.revision or '?')[:8]}")
    if argocd.behind:
        cell.append("\nhas not seen Git's release yet", "yellow")
    if argocd.message:
        cell.append(f"\n{argocd.message}" if cell else argocd.message)
    return cell


def _coloured(word: str | None) -> Text:
    colour = next((colour for colour, words in _COLOURS.items() if word in words), "")
    return Text(word or "unknown", style=colour)
