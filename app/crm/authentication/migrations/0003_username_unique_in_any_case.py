"""Alice and alice are one name, in the database too.

Built beside the writes of both versions, so it is not atomic: what an attempt that failed has left behind is taken away
first. The version before answers 409 to what the index refuses.
"""

from typing import Any

import django.db.models.functions.text
from django.db import migrations, models
from django.db.models import Count
from django.db.models.functions import Upper

DROP = 'DROP INDEX CONCURRENTLY IF EXISTS "user_username_unique"'
CREATE = (
    'CREATE UNIQUE INDEX CONCURRENTLY "user_username_unique" ON "authentication_user" (UPPER("username"))'
)


def refuse_namesakes(apps: Any, schema_editor: Any) -> None:
    """They are people: nobody but a person can say whose name becomes another one."""
    users = apps.get_model("authentication", "User").objects
    names = users.values(name=Upper("username")).annotate(users=Count("pk")).filter(users__gt=1)
    same = users.annotate(name=Upper("username")).filter(name__in=names.values("name"))
    if keys := sorted(same.values_list("pk", flat=True)[:20]):
        raise RuntimeError(
            f"The names of the users with the keys {keys} differ from another's by capital letters alone: give each"
            " of them a name of its own, and migrate again."
        )


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("authentication", "0002_invitation")]
    operations = [
        migrations.RunPython(refuse_namesakes, migrations.RunPython.noop),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(DROP, migrations.RunSQL.noop),
                migrations.RunSQL(CREATE, DROP),
            ],
            state_operations=[
                migrations.AddConstraint(
                    model_name="user",
                    constraint=models.UniqueConstraint(
                        django.db.models.functions.text.Upper("username"),
                        name="user_username_unique",
                        violation_error_message="A user with that username already exists.",
                    ),
                ),
            ],
        ),
    ]
