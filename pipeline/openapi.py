"""`python -m pipeline.openapi`: write docs/openapi.yaml, the API as its views say that it is."""

from __future__ import annotations

import os
from pathlib import Path

import django
from django.apps import apps

FILE = Path(__file__).resolve().parents[1] / "docs/openapi.yaml"


def text() -> str:
    """The text that the file must have."""
    if not apps.ready:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
        django.setup()
    from crm.api.openapi import document  # noqa: PLC0415

    return document()


def is_stale() -> bool:
    return not FILE.exists() or FILE.read_text(encoding="utf-8") != text()


if __name__ == "__main__" and is_stale():
    FILE.write_text(text(), encoding="utf-8")
    print(f"wrote docs/{FILE.name}")
