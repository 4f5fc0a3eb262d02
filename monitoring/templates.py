"""The files of this package that are filled in, as the rules are: with `<< … >>` and `<% … %>`.

Prometheus, Grafana and Alertmanager have the usual brackets for themselves.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES = Environment(  # nosec B701
    loader=FileSystemLoader(Path(__file__).parent),
    variable_start_string="<<",
    variable_end_string=">>",
    block_start_string="<%",
    block_end_string="%>",
    comment_start_string="<#",
    comment_end_string="#>",
    trim_blocks=True,
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701  (YAML)
)


def filled(name: str, **values: object) -> str:
    """The text of a file. Raises jinja2.UndefinedError for what has no value."""
    return _TEMPLATES.get_template(name).render(values)
