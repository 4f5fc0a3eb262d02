"""Settings of the tests: production's, on servers that testing.environment names."""

import testing.environment  # noqa: F401  (first: production reads what it sets)

# isort: split
from config.settings.production import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
