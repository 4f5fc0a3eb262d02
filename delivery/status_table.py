"""The table of `delivery status`."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from delivery.standing import Environment, InArgoCD, InCluster, InGit, Version

NOTHING = "-"
_COLOURS = {
    "green": {"Successful", "Healthy", "Synced", "Succeeded"},
    "red": {"Failed", "Error", "Degraded", "Missing"},
    "yellow": {"Running", "Pending", "Inconclusive", "Progressing", "Paused", "Suspended", "OutOfSync"},
}


def table(environments: Iterable[Environment]) -> Table:
    """One row an environment."""
    shown = Table(show_lines=True)
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
    for verdict in cluster.verdicts:
        cell.append("\n" if cell else "").append(f"{verdict.question} ").append(_coloured(verdict.phase))
        detail = verdict.message or verdict.value
        if detail:
            cell.append(f"\n  {detail}", "dim")
    return cell


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
