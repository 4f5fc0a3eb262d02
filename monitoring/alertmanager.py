"""Who is notified of an alert, how, and who next if nobody acknowledges it.

A silence is the acknowledgement. Each level is a route of its own that waits longer before it notifies:
Alertmanager's `group_wait` is counted from the moment an alert began to fire, also after a restart, and what is
silenced or over by then is not sent (docs/decisions/0025).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from monitoring.objectives import LEVELS, Duration, seconds

Object = dict[str, Any]


@dataclass(frozen=True)
class Addresses:
    """Where things are sent to. What is secret about it lies in files of `secrets`.

    By default these are in the configuration's own Secret, which the Prometheus operator mounts there.
    """

    smtp: str
    """Host and port."""
    smtp_user: str
    """Empty: neither signs in nor asks for TLS, for a receiver of one's own."""
    sender: str
    recipients: tuple[str, ...]
    """The e-mail address of each level."""
    status_page: str
    dead_mans_switch: str
    secrets: str = "/etc/alertmanager/config"


SITE = Addresses(
    smtp="smtp.example.com:587",
    smtp_user="alerts@example.com",
    sender="alerts@example.com",
    recipients=(
        "on-call@example.com",
        "team-lead@example.com",
        "operations@example.com",
        "direction@example.com",
    ),
    status_page="https://status.example.com/api/alertmanager",
    dead_mans_switch="https://heartbeat.example.com/crm",
)

# What is the cause, and what follows from it in the same namespace: whoever is notified of the one need not be of both.
CAUSES: tuple[tuple[str, str], ...] = (
    ('alertname = "CRMDown"', 'alertname !~ "CRMDown|DeadMansSwitch"'),
    ('alertname = "HighErrorRate"', 'alertname = "AvailabilityBudgetBurn"'),
    (
        'alertname = "RedisDown"',
        'alertname =~ "BeatSilent|QueueTooLong|QueueTooOld|RedisHitRateLow|WorkerLost"',
    ),
    ('alertname = "WorkerLost"', 'alertname =~ "QueueTooLong|QueueTooOld"'),
    ('alertname = "QueueTooOld"', 'alertname = "QueueTooLong"'),
    (
        'alertname =~ "RolloutAborted|RolloutStuck|RolloutPausedTooLong"',
        'alertname =~ "ArgoCDDegraded|ArgoCDOutOfSync"',
    ),
)
# Of one objective the fastest burn is enough.
_BURNS = ("1h", "6h", "1d", "3d")


def configuration(to: Addresses = SITE, *, time_scale: float = 1) -> Object:
    """Alertmanager's configuration; `time_scale` divides the waiting times, for drills."""

    def after(duration: Duration) -> str:
        return f"{round(1000 * seconds(duration) / time_scale)}ms" if seconds(duration) else "0s"

    critical = 'severity = "critical"'
    levels = [
        {
            "receiver": f"level-{number}",
            "matchers": [critical],
            "group_wait": after(wait),
            "continue": number < len(LEVELS),
        }
        for number, wait in enumerate(LEVELS, start=1)
    ]
    return {
        "global": _global(to),
        "route": {
            "receiver": "team",
            # One message for one alert of one environment, however many series it has.
            "group_by": ["alertname", "namespace"],
            "group_wait": after("30s"),
            "group_interval": after("5m"),
            "repeat_interval": after("4h"),
            "routes": [
                {
                    "receiver": "dead-mans-switch",
                    "matchers": ['alertname = "DeadMansSwitch"'],
                    "group_wait": "0s",
                    "group_interval": after("1m"),
                    "repeat_interval": after("1m"),
                },
                # Of a cluster's other rules, what wakes nobody at night.
                {"receiver": "nobody", "matchers": ['severity =~ "info|none"']},
                {
                    "receiver": "status-page",
                    "matchers": [critical, 'alertname =~ "CRMDown|HighErrorRate"'],
                    "group_wait": after("1m"),
                    "continue": True,
                },
                *levels,
            ],
        },
        "inhibit_rules": [
            *(
                {"source_matchers": [cause], "target_matchers": [effect], "equal": ["namespace"]}
                for cause, effect in CAUSES
            ),
            *(
                {
                    "source_matchers": [f'long = "{fast}"'],
                    "target_matchers": [f'long =~ "{"|".join(_BURNS[number:])}"'],
                    "equal": ["alertname", "namespace"],
                }
                for number, fast in enumerate(_BURNS[:-1], start=1)
            ),
        ],
        "receivers": [
            {"name": "nobody"},
            {"name": "team", "slack_configs": [_slack("#crm-alerts")]},
            {
                "name": "dead-mans-switch",
                "webhook_configs": [_webhook(to, to.dead_mans_switch, "dead-mans-switch", resolved=False)],
            },
            {
                "name": "status-page",
                "webhook_configs": [_webhook(to, to.status_page, "status-page", resolved=True)],
            },
            {
                "name": "level-1",
                "slack_configs": [_slack("#crm-outage")],
                "email_configs": [_email(to.recipients[0], 1)],
            },
            *(
                {"name": f"level-{number}", "email_configs": [_email(address, number)]}
                for number, address in enumerate(to.recipients[1:], start=2)
            ),
        ],
    }


def _global(to: Addresses) -> Object:
    settings = {
        "resolve_timeout": "5m",
        "slack_api_url_file": f"{to.secrets}/slack-url",
        "smtp_smarthost": to.smtp,
        "smtp_from": to.sender,
        "smtp_require_tls": bool(to.smtp_user),
    }
    if to.smtp_user:
        settings |= {
            "smtp_auth_username": to.smtp_user,
            "smtp_auth_password_file": f"{to.secrets}/smtp-password",
        }
    return settings


def _webhook(to: Addresses, url: str, secret: str, *, resolved: bool) -> Object:
    """The status page gets Alertmanager's own payload, with the sentence for the public in `annotations.public`."""
    authorization = {"credentials_file": f"{to.secrets}/{secret}-token"}
    return {"url": url, "send_resolved": resolved, "http_config": {"authorization": authorization}}


_TITLE = (
    '{{ if eq .Status "firing" }}{{ .CommonLabels.severity | toUpper }}{{ else }}Over{{ end }}: '
    "{{ .CommonLabels.alertname }} in {{ .CommonLabels.namespace }}"
)
_TEXT = (
    "{{ range .Alerts }}{{ .Annotations.summary }} {{ .Annotations.description }}\n"
    "{{ .Annotations.runbook_url }}\n{{ end }}"
)


def _slack(channel: str) -> Object:
    return {"channel": channel, "send_resolved": True, "title": _TITLE, "text": _TEXT}


def _email(address: str, level: int) -> Object:
    waited = (
        ""
        if level == 1
        else f"Nobody has acknowledged this for {LEVELS[level - 1].removesuffix('m')} minutes.\n\n"
    )
    return {
        "to": address,
        "send_resolved": True,
        "headers": {"Subject": _TITLE},
        "html": "",
        "text": waited + _TEXT,
    }
