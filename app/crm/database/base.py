"""Django's PostgreSQL for a web process, which asks a silent database one request at a time."""

from typing import Any

import psycopg
from django.db.backends.postgresql import base

from crm.database.connection import silence


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        silence.refuse()
        try:
            connection = super().get_new_connection(conn_params)
        except psycopg.OperationalError:  # or that the pool has none that works
            silence.begins()
            raise
        silence.ends()
        return connection
