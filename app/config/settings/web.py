"""Settings of the web process: production, with connections to the database kept in a pool."""

from config.env import env
from config.settings.production import *  # noqa: F403
from config.settings.production import DATABASES

WEB_THREADS = env.integer("WEB_THREADS", 4, least=1, most=64)

# One for each thread and one for the health check, which asks from a thread of its own.
DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 1, "max_size": WEB_THREADS + 1, "timeout": 2}
