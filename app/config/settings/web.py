"""Settings of the web process: production, with connections to the database kept in a pool."""

from config.env import env
from config.settings.production import *  # noqa: F403
from config.settings.production import CELERY_BROKER_TRANSPORT_OPTIONS, DATABASES
from crm.database.connection import Connection

WEB_THREADS = env.integer("WEB_THREADS", 4, least=1, most=64)

# Nobody is held for long by a database or a Redis that hangs. In milliseconds; less than Connection waits.
DATABASES["default"]["ENGINE"] = "crm.database"
DATABASES["default"]["OPTIONS"]["options"] = (
    "-c statement_timeout=2000 -c idle_in_transaction_session_timeout=10000"
    # Pages of an index cost what they cost on an SSD. By default PostgreSQL thinks of turning disks, and reads a team's
    # newest rows by the table's key, through those of all others: 22 ms for one that has stopped writing, not 0.05.
    " -c random_page_cost=1.1"
)
CELERY_BROKER_TRANSPORT_OPTIONS |= {"socket_connect_timeout": 1, "socket_timeout": 1}

# One for each thread and one for the health check, which asks from a thread of its own.
DATABASES["default"]["OPTIONS"]["pool"] = {
    "min_size": 1,
    "max_size": WEB_THREADS + 1,
    "timeout": 2,
    "connection_class": Connection,
    # By default five minutes, with pauses that double: long after the database is back it may still pause.
    "reconnect_timeout": 2,
}
