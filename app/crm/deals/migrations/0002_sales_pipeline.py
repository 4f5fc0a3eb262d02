"""A pipeline to begin with, so that the first user can create deals at once."""

from typing import Any

from django.db import migrations

STAGES = ("Lead", "Qualified", "Proposal", "Won", "Lost")


def seed(apps: Any, schema_editor: Any) -> None:
    pipeline, _ = apps.get_model("deals", "Pipeline").objects.get_or_create(name="Sales")
    for position, name in enumerate(STAGES, start=1):
        apps.get_model("deals", "Stage").objects.get_or_create(
            pipeline=pipeline,
            name=name,
            defaults={"position": position, "is_won": name == "Won", "is_lost": name == "Lost"},
        )


class Migration(migrations.Migration):
    dependencies = [("deals", "0001_initial")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
