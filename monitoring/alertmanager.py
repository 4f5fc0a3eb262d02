"""Who is notified of an alert, how, and who next if nobody acknowledges it.

A silence is the acknowledgement. Each level is a route of its own that waits longer before it notifies:
Alertmanager's `group_wait` is counted from the moment an alert began to fire, also after a restart, and what is
silenced or over by then is not sent (docs/decisions/0025).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from monitoring.objectives import LEVELS, Duration, seconds
from monitoring.templates import filled


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


def configuration(to: Addresses = SITE, *, time_scale: float = 1) -> dict[str, Any]:
    """Alertmanager's configuration; `time_scale` divides the waiting times, for drills."""

    def after(duration: Duration) -> str:
        return f"{round(1000 * seconds(duration) / time_scale)}ms" if seconds(duration) else "0s"

    text = filled("alertmanager.yaml", to=to, after=after, levels=LEVELS)
    known: dict[str, Any] = yaml.safe_load(text)
    return known
