"""The files of this package that are filled in, as the rules are: with `<< … >>` and `<% … %>`.

Prometheus, Grafana and Alertmanager have the usual brackets for themselves.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def environment(folder: str = "") -> Environment:
    """Of the files in a folder of this package."""
    return Environment(  # nosec B701
        loader=FileSystemLoader(Path(__file__).parent / folder),
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  (YAML and Markdown)
    )


def filled(name: str, **values: object) -> str:
    """The text of a file. Raises jinja2.UndefinedError for what has no value."""
    return environment().get_template(name).render(values)
