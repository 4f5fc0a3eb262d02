"""The settings of every running CRM, whatever its environment: what differs comes from environment variables.

`web` adds what only the web process has (the connection pool), `test` what the tests need.
"""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from config.env import env

APP_DIR = Path(__file__).resolve().parents[2]

# What runs
ENVIRONMENT = env.text("ENVIRONMENT", "local")
VERSION = env.text("VERSION", "0.0.0")
REVISION = env.text("REVISION", "unknown")

DEBUG = False
SECRET_KEY = env.text("SECRET_KEY", shortest=32)
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "corsheaders",
    "rest_framework",
    "crm.authentication",
    "crm.companies",
    "crm.contacts",
    "crm.deals",
    "crm.notifications",
    "crm.schema",
]

MIDDLEWARE = [
    "crm.metrics.middleware.RequestMetrics",  # outermost, so that it sees every answer and its whole time
    "crm.http.request_log.RequestLog",
    "crm.http.response_headers.ResponseHeaders",
    "crm.http.redirects.SameMethod",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "crm.http.hosts.HostCheck",
    "crm.http.readable.Readable",
    "django.middleware.csrf.CsrfViewMiddleware",
]

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# Database. Connections end with the request; the web process keeps a pool (settings.web), the others do not:
# Celery's Django support closes a pool before and after every task. DB_URI is for operators that hand out an address.
_uri = env.postgresql("DB_URI")
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": env.text("DB_HOST", _uri.get("host")),
        "PORT": env.integer("DB_PORT", int(_uri.get("port", 5432)), least=1, most=65535),
        "NAME": env.text("DB_NAME", _uri.get("dbname")),
        "USER": env.text("DB_USER", _uri.get("user")),
        "PASSWORD": env.text("DB_PASSWORD", _uri.get("password")),
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 3,
            "application_name": f"crm {VERSION}",
            "sslmode": env.choice("DB_SSLMODE", _uri.get("sslmode", "prefer"), SSL_MODES),
            "sslrootcert": env.file("DB_CA"),
            # That a server's machine or network has gone is noticed after 20 s, and not after hours.
            "keepalives_idle": 10,
            "keepalives_interval": 3,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,  # milliseconds
        },
    }
}
# Seconds that the migrate role has; its Job should have a little more.
MIGRATE_DEADLINE = env.integer("MIGRATE_DEADLINE", 240, least=1, most=3600)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis: database 0 for Celery, 1 for the cache. What hangs is given up after a second and not asked again; a connection
# that an outage has left behind is replaced.
REDIS_HOST = env.text("REDIS_HOST")
REDIS_PORT = env.integer("REDIS_PORT", 6379, least=1, most=65535)
REDIS_PASSWORD = env.text("REDIS_PASSWORD", "")
REDIS_TLS = env.boolean("REDIS_TLS", False)
_redis_user = f"{quote(env.text('REDIS_USER', ''), safe='')}:{quote(REDIS_PASSWORD, safe='')}"
REDIS_URL = f"redis{'s' if REDIS_TLS else ''}://{_redis_user}@{REDIS_HOST}:{REDIS_PORT}"
# Without a CA the system's authorities count.
_redis_tls: dict[str, Any] = (
    {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": env.file("REDIS_CA") or None}
    if REDIS_TLS
    else {}
)
CACHES = {
    "default": {
        "BACKEND": "crm.metrics.cache.CountedCache",
        "LOCATION": f"{REDIS_URL}/1",
        "KEY_PREFIX": "crm",
        "OPTIONS": {
            "socket_connect_timeout": 1,
            "socket_timeout": 1,
            "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
            **_redis_tls,
        },
    }
}

# Celery
GRACEFUL_TIMEOUT = env.integer("GRACEFUL_TIMEOUT", 30, least=1, most=600)
CELERY_BROKER_URL = f"{REDIS_URL}/0"
CELERY_BROKER_USE_SSL = _redis_tls or None
CELERY_TASK_DEFAULT_QUEUE = "crm"
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
# A task is acknowledged when it is done, and comes back when its worker dies: tasks can be repeated.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 60
CELERY_TASK_TIME_LIMIT = 90
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,  # longer than any task may take
    "socket_connect_timeout": 2,
    "socket_timeout": 10,
}
# What a request that queues a task waits at most for a broker that is away; the outbox sends it later.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# On SIGTERM (entrypoint maps it) running tasks get this long, then they go back to the queue.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = float(GRACEFUL_TIMEOUT)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_BEAT_SCHEDULE = {
    "send-overdue-emails": {
        "task": "crm.notifications.tasks.send_overdue_emails",
        "schedule": 60.0,
        "options": {"expires": 55},  # while no worker comes to it one of them is enough
    },
}
CELERY_TIMEZONE = "UTC"
METRICS_PORT = env.integer("METRICS_PORT", 8001, least=1, most=65535)

# E-mail; without EMAIL_HOST it is written to the log
EMAIL_HOST = env.text("EMAIL_HOST", "")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
SUBMISSION_PORT = 587  # the one on which mail servers expect STARTTLS
EMAIL_PORT = env.integer("EMAIL_PORT", 25, least=1, most=65535)
EMAIL_HOST_USER = env.text("EMAIL_USER", "")
EMAIL_HOST_PASSWORD = env.text("EMAIL_PASSWORD", "")
EMAIL_USE_TLS = env.boolean("EMAIL_USE_TLS", EMAIL_PORT == SUBMISSION_PORT)
# For each answer of the mail server. Given up too early, it sends what we then send again: RFC 5321 asks for minutes.
EMAIL_TIMEOUT = 30
# required: what users have written is sent to addresses only whose owners have proven that they are theirs.
# optional: to every address; for machines that register users without reading their mail.
EMAIL_PROOF = env.choice("EMAIL_PROOF", "required", ("optional", "required"))
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", "crm@localhost")

# Who may ask
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS") + env.words("POD_IP", "")
# Those of them by which the platform asks and no user does; without any nobody is answered at /probe/.
PROBE_HOSTS = env.words("PROBE_HOSTS", "")
CORS_ALLOWED_ORIGINS = env.words("CORS_ORIGINS", "")
CORS_EXPOSE_HEADERS = ["X-CRM-Version", "X-Request-ID"]

# Routers between users and us, each of which adds whom it saw to X-Forwarded-For; without any it is a stranger's word.
ROUTER_HOPS = env.integer("ROUTER_HOPS", 0, least=0, most=9)
# How often one client (by address) and one account may ask; crm.api.limits.
RATES = {
    "sign-up": {"address": env.rate("RATE_SIGN_UP_ADDRESS", "20/hour")},
    "sign-in": {
        "address": env.rate("RATE_SIGN_IN_ADDRESS", "60/minute"),
        "account": env.rate("RATE_SIGN_IN_ACCOUNT", "10/minute"),
    },
    "refresh": {
        "address": env.rate("RATE_REFRESH_ADDRESS", "300/minute"),
        "account": env.rate("RATE_REFRESH_ACCOUNT", "30/minute"),
    },
    "invitations": {
        "address": env.rate("RATE_INVITATIONS_ADDRESS", "60/hour"),
        "account": env.rate("RATE_INVITATIONS_ACCOUNT", "20/hour"),
    },
    "email-proof": {
        "address": env.rate("RATE_EMAIL_PROOF_ADDRESS", "20/hour"),
        "account": env.rate("RATE_EMAIL_PROOF_ACCOUNT", "5/day"),
    },
}

# Transport: TLS ends at the router, which tells so by this header. Redirecting is the router's work;
# SECURE_SSL_REDIRECT=true is for routers that cannot. Probes and scrapes are plain HTTP inside the cluster.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = env.boolean("SECURE_SSL_REDIRECT", False)
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$", r"^probe/$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_COOKIE_SECURE = True
CSRF_FAILURE_VIEW = "crm.api.errors.forbidden"
SESSION_COOKIE_SECURE = True

# Users
AUTH_USER_MODEL = "authentication.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=1),
    # A key of its own, so that a token can never pass for anything else that SECRET_KEY signs.
    "SIGNING_KEY": hashlib.sha256(b"json web token:" + SECRET_KEY.encode()).hexdigest(),
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["crm.authentication.api.tokens.Authentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["crm.api.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "crm.api.pagination.Pages",
    "DEFAULT_SCHEMA_CLASS": "crm.api.openapi.Operation",
    "EXCEPTION_HANDLER": "crm.api.errors.handle",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

# docs/openapi.yaml
SPECTACULAR_SETTINGS = {
    "TITLE": "CRM",
    "DESCRIPTION": "Contacts, companies and deals of a team.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "DISABLE_DOCSTRING_DESCRIPTIONS": True,  # those are for who reads the code
    "POSTPROCESSING_HOOKS": ["crm.api.openapi.with_errors"],
}

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False

# Logs: one JSON object a line on standard output
LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "crm.http.log_lines.JsonLines", "version": VERSION, "role": env.text("ROLE", "")}
    },
    "filters": {"exceptions": {"()": "crm.http.log_lines.OnlyExceptions"}},
    "handlers": {
        "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}
    },
    "root": {"handlers": ["stdout"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        # Each request has a line of its own; what is left here are unhandled exceptions.
        "django.request": {"filters": ["exceptions"]},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
