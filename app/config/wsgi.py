"""The web application."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import resolve

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.web")

application = get_wsgi_application()
# Now rather than in the first request, which would take a second or two.
resolve("/")
