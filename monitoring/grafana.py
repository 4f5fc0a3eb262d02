"""A dashboard as Grafana's JSON."""

from __future__ import annotations

from string import ascii_uppercase

from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from monitoring.dashboards import Dashboard, Panel

_WIDTH, _HEIGHT = 24, 8
_SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
# A unit of Grafana's for each of ours; it has none for processors.
_UNITS = {"cores": "short"}
RUNBOOKS = "RUNBOOKS"
"""The word in whose place the chart puts where runbooks are read."""


def text(dashboard: Dashboard) -> str:
    """The file that Grafana's sidecar loads."""
    built = (
        dashboards.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.about)
        .tags(["crm"])
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(_link_to_the_others())
        .with_variable(dashboards.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_choice("environment", "Environment", ("production", "staging", "dev"), several=False))
    )
    if any("$component" in query.expr for panel in dashboard.panels for query in panel.queries):
        built = built.with_variable(
            _choice("component", "Component", ("web", "worker", "beat"), several=True)
        )
    for row in dashboard.rows:
        built = built.with_row(dashboards.Row(row.title))
        for panel in row.panels:
            built = built.with_panel(_panel(panel, _WIDTH // len(row.panels)))
    return str(JSONEncoder(sort_keys=True, indent=2).encode(built.build())) + "\n"


def _link_to_the_others() -> dashboards.DashboardLink:
    return (
        dashboards.DashboardLink("CRM")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags(["crm"])
        .as_dropdown(True)
        .keep_time(True)
        .include_vars(True)
    )


def _choice(name: str, label: str, values: tuple[str, ...], *, several: bool) -> dashboards.CustomVariable:
    chosen = models.VariableOption(
        selected=True, text="All" if several else values[0], value="$__all" if several else values[0]
    )
    variable = dashboards.CustomVariable(name).label(label).values(",".join(values)).current(chosen)
    return variable.multi(True).include_all(True) if several else variable


def _panel(panel: Panel, width: int) -> stat.Panel | timeseries.Panel:
    """Numbers and lines have the same setters, each in a class of its own."""
    built = stat.Panel() if panel.kind == "number" else _lines(panel)
    built = (
        built.title(panel.title)
        .description(panel.about)
        .datasource(_SOURCE)
        .unit(_UNITS.get(panel.unit, panel.unit))
        .span(width)
        .height(_HEIGHT)
        .thresholds(_thresholds(panel))
    )
    if panel.runbook:
        page = dashboards.DashboardLink(f"What to do: {panel.runbook}").type(models.DashboardLinkType.LINK)
        built = built.links([page.url(f"{RUNBOOKS}/{panel.runbook}.md").target_blank(True)])
    for letter, query in zip(ascii_uppercase, panel.queries, strict=False):
        asked = prometheus.Dataquery().ref_id(letter).expr(query.expr).legend_format(query.legend)
        built = built.with_target(asked)
    return built


def _lines(panel: Panel) -> timeseries.Panel:
    built = (
        timeseries.Panel()
        .legend(common.VizLegendOptions().show_legend(True).placement(common_models.LegendPlacement.BOTTOM))
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
        .line_width(2)
        .fill_opacity(0 if panel.kind == "lines" else 40)
    )
    if panel.kind == "stack":
        built = built.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    if panel.unit == "percentunit":
        built = built.min(0)
    if panel.limit is not None:
        line = common.GraphThresholdsStyleConfig().mode(common_models.GraphTresholdsStyleMode.LINE)
        built = built.thresholds_style(line)
    return built


def _thresholds(panel: Panel) -> dashboards.ThresholdsConfig:
    below, above = ("red", "green") if panel.too_little else ("green", "red")
    steps = [models.Threshold(value=None, color=below)]
    if panel.limit is not None:
        steps.append(models.Threshold(value=panel.limit, color=above))
    return dashboards.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
