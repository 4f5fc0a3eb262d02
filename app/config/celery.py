"""The Celery application: worker and beat run it, the web process queues its tasks.

Which settings are used is said by DJANGO_SETTINGS_MODULE, set by the entrypoint: the web process has its own.
"""

from celery import Celery

from crm import queueing
from crm.health import heartbeat

app = Celery("crm", task_cls="crm.metrics.worker:CountedTask")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
heartbeat.connect()
queueing.connect()
