from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from crm.schema.migrating import NotMigrated, migrate


class Command(BaseCommand):
    help = "Migrate under a lock, waiting for the database, within a deadline."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--deadline", type=float, default=settings.MIGRATE_DEADLINE, help="seconds")

    def handle(self, *args: Any, deadline: float, **options: Any) -> None:
        try:
            migrate(deadline=deadline, report=self.stderr.write)
        except NotMigrated as error:
            raise CommandError(str(error)) from error
