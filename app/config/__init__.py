"""How the CRM is put together: settings, URLs, and its web, worker and beat processes."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
