"""What `delivery status` shows: some lines an environment, and below them what may not be released."""

from collections.abc import Iterable, Iterator

from rich.table import Table
from rich.text import Text

from delivery.cli.status_model import (
    AnalysisVerdict,
    ArgoCDStatus,
    ClusterStatus,
    EnvironmentStatus,
    GitStatus,
    Restrictions,
    VersionStatus,
)
from delivery.kubernetes.analysis import PROVEN, WEIGHED, evidence

_COLOURS = {
    "green": {"Successful", "Healthy", "Synced", "Succeeded"},
    "red": {"Failed", "Error", "Degraded", "Missing"},
    "yellow": {"Running", "Pending", "Inconclusive", "Progressing", "Paused", "Suspended", "OutOfSync"},
}


_WATCH = "-watch"
_METER = 9  # characters from proven fine to proven bad
_LEGEND = "evidence: ●───┼──── proven fine, ────┼───● proven bad"
_ROUND = 10.0


def lines(restrictions: Restrictions) -> Iterator[Text]:
    """One line for each freeze and each quarantined image, cut where the terminal ends; and what cannot be read."""
    for frozen in restrictions.frozen:
        yield Text(f"Frozen: {frozen}", style="cyan")
    for entry in restrictions.quarantined:
        words = f"Quarantined: {entry.version}  {entry.digest[:15]}  {entry.at[:16]}  {entry.environment}"
        yield Text(f"{words}  {entry.reason}", style="magenta", no_wrap=True, overflow="ellipsis")
    for problem in restrictions.problems:
        yield Text(problem, style="red")


def table(environments: Iterable[EnvironmentStatus]) -> Table:
    """A few lines an environment, as wide as the terminal is; one for an environment without a release."""
    environments = list(environments)
    verdicts = [verdict for each in environments if each.cluster for verdict in each.cluster.verdicts]
    weighed = any(_weighed(verdict) is not None for verdict in verdicts)
    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.caption = _LEGEND if weighed else None
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for each in environments:
        shown.add_row(Text(each.name, style="bold"), _git(each.git))
        for label, line in _below(each):
            shown.add_row(Text(f"  {label}", style="dim"), line)
    return shown


def _git(git: GitStatus) -> Text:
    if git.problem:
        return Text(git.problem, style="red")
    if git.release is None:
        return Text("no release yet", style="dim")
    release = git.release
    line = Text(release.image.version, style="bold")
    details = (release.strategy, f"revision {release.revision[:8]}", f"image {release.image.digest[7:15]}")
    return line.append(f"  {'  '.join(details)}", "not bold dim")


def _below(environment: EnvironmentStatus) -> Iterator[tuple[str, Text]]:
    cluster = environment.cluster
    if cluster and cluster.stable:
        stable = _version(cluster.stable)
        yield "stable", stable if cluster.canary else stable.append_text(_where(cluster))
    if cluster and cluster.canary:
        yield "canary", _version(cluster.canary).append_text(_where(cluster))
    if cluster:
        for verdict in _worth_showing(cluster.verdicts):
            yield verdict.question, _verdict(verdict)
    if environment.argocd:
        yield "Argo CD", _argocd(environment.argocd)


def _version(version: VersionStatus) -> Text:
    line = Text(version.version, style="bold")
    if version.weight is not None:
        line.append(f" {version.weight} %", "not bold")
    return line.append(f"  {version.ready} ready", "not bold")


def _where(cluster: ClusterStatus) -> Text:
    """At which step it is, and what Argo Rollouts reports."""
    line = Text(f"  step {cluster.step}" if cluster.step else "")
    line.append("  ").append(Text("Aborted", style="red") if cluster.aborted else _coloured(cluster.phase))
    if cluster.message and cluster.canary:
        line.append(f"  {cluster.message}")
    return line


def _verdict(verdict: AnalysisVerdict) -> Text:
    line = Text().append(_coloured(verdict.phase))
    weighed = _weighed(verdict)
    if weighed is not None:
        line.append("  ").append(_meter(weighed))
    detail = verdict.message or (verdict.value if weighed is None else None)
    return line.append(f"  {detail}", "dim") if detail else line


def _argocd(argocd: ArgoCDStatus) -> Text:
    line = Text()
    if argocd.sync:
        line.append(_coloured(argocd.sync)).append(", ").append(_coloured(argocd.health))
        line.append(f"  at {(argocd.revision or '?')[:8]}", "dim")
    if argocd.behind:
        line.append("  has not seen Git's release yet", "yellow")
    if argocd.message:
        line.append(f"  {argocd.message}" if line else argocd.message)
    return line


def _worth_showing(verdicts: list[AnalysisVerdict]) -> list[AnalysisVerdict]:
    """An analysis that runs both at the step and in the background is shown once while all is well."""
    analyses = {verdict.question for verdict in verdicts}
    return [
        verdict
        for verdict in verdicts
        if verdict.phase in _COLOURS["red"]
        or verdict.question.removesuffix(_WATCH) not in analyses - {verdict.question}
    ]


def _weighed(verdict: AnalysisVerdict) -> float | None:
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


def _coloured(word: str | None) -> Text:
    colour = next((colour for colour, words in _COLOURS.items() if word in words), "")
    return Text(word or "unknown", style=colour)
