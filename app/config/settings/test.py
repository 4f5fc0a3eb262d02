"""Settings of the tests: production's, on servers that testing.environment names."""

import testing.environment

# isort: split
from config.settings.production import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
