"""The web application."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import resolve

from crm.http.guard import Guard

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.web")

application = Guard(get_wsgi_application())
# Now rather than in the first request, which would take a second or two.
resolve("/")
