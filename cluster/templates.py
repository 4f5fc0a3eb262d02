"""The files of cluster/manifests, with what differs filled in."""

from __future__ import annotations

import string

from cluster import paths


def filled(name: str, **values: object) -> str:
    """The text of a file, its words like ${STATE} replaced; KeyError for one that has no value."""
    text = (paths.SOURCE / "manifests" / name).read_text(encoding="utf-8")
    return string.Template(text).substitute(values)
