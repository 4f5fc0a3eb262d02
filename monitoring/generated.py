"""The files that are made from the objectives: what each must hold, and writing them."""

from __future__ import annotations

import math
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from monitoring import objectives

REPOSITORY = Path(__file__).resolve().parents[1]
RULES = REPOSITORY / "charts/crm/files/rules"
COMMAND = "python -m monitoring"


def percent(share: float) -> str:
    """0.05 as `5 %`."""
    return f"{100 * share:.6g} %"


def files() -> dict[Path, str]:
    """Every generated file with the text that it must have."""
    return {RULES / name: _rules(name) for name in _templates().list_templates()}


def stale() -> list[Path]:
    """The generated files that are not what they must be."""
    return [path for path, text in files().items() if not path.exists() or path.read_text() != text]


def write() -> list[Path]:
    """Write what is stale, and say what that was."""
    outdated = stale()
    for path in outdated:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files()[path])
    return outdated


def _templates() -> Environment:
    """With `<< … >>` and `<% … %>`: Prometheus has the usual brackets for itself."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "rules"),
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  (YAML)
    )
    templates.filters |= {"percent": percent, "number": "{:g}".format}
    templates.globals |= {
        "ln": math.log,
        "six": "{:.6f}".format,
        "number": float,
        "seconds": objectives.seconds,
        "verdict": objectives.VERDICT,
        "objectives": objectives.OBJECTIVES,
        "burns": objectives.BURNS,
        "windows": sorted(
            {window for burn in objectives.BURNS for window in (burn.long, burn.short)},
            key=objectives.seconds,
        ),
        "fewest_bad": objectives.FEWEST_BAD,
        "limits": objectives.LIMITS,
    }
    return templates


def _rules(name: str) -> str:
    head = f"# Made by `{COMMAND}` from monitoring/rules/{name}; change it there.\n#\n"
    return head + _templates().get_template(name).render()
