# A drill's fault, appended to the module that gunicorn loads: the process looks for Redis where there is none.
from django.core.cache import caches

from config.celery import app


def break_it() -> None:
    # Nobody has asked for either yet.
    caches.settings["default"]["LOCATION"] = "redis://redis.invalid:6379/1"
    app.conf.update(broker_url="redis://redis.invalid:6379/0")
