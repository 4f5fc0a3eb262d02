"""Where notifications go: a Slack channel and e-mail addresses, from a folder that a Secret fills.

    slack-url      an incoming webhook
    smtp           HOST:PORT
    mail-from      an address
    mail-to        addresses, separated by commas
    smtp-user      signs in with smtp-password, over TLS; without it neither

Either works alone. A file's content is never in a message or a log.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from functools import partial
from html import escape
from pathlib import Path

import httpx

from delivery import web
from delivery.errors import Refused
from delivery.notifications.messages import Message

VARIABLE = "DELIVERY_NOTIFICATIONS"
FORMER_VARIABLE = "DELIVERY_PEOPLE"  # of charts before 1.1; read for two releases
_SECONDS = 20.0
_MOST_BYTES = 64 * 1024  # Slack says "ok"

Channel = Callable[[Message], None]


def channels(folder: str, seconds: float = _SECONDS) -> dict[str, Channel]:
    """By name; sending raises Refused. None for an empty name.

    seconds: for sending one message.

    Raises Refused where the folder is there and its files cannot be used.
    """
    if not folder:
        return {}
    found: dict[str, Channel] = {}
    if url := _text(folder, "slack-url"):
        found["Slack"] = partial(_slack, url, seconds)
    if smtp := _text(folder, "smtp"):
        host, _, port = smtp.rpartition(":")
        if not host or not port.isdecimal():
            raise Refused(f"{folder}/smtp must be HOST:PORT.")
        found["e-mail"] = partial(
            _mail,
            host=host,
            port=int(port),
            sender=_needed(folder, "mail-from"),
            to=_needed(folder, "mail-to"),
            login=(_text(folder, "smtp-user"), _text(folder, "smtp-password")),
            seconds=seconds,
        )
    if not found:
        raise Refused(f"{folder} has neither slack-url nor smtp, so no notification could be sent.")
    return found


def _text(folder: str, name: str) -> str:
    path = Path(folder) / name
    try:
        return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path} cannot be read ({type(error).__name__}).") from None


def _needed(folder: str, name: str) -> str:
    found = _text(folder, name)
    if not found:
        raise Refused(f"{Path(folder)} has smtp, so it must have {name} as well.")
    return found


def _slack(url: str, seconds: float, message: Message) -> None:
    try:
        # Text of a commit must not become a mention of the whole channel.
        text = escape(f"*{message.subject}*\n{message.text}", quote=False)
        with web.client() as client:
            web.post(client, url, json={"text": text}, seconds=seconds, most=_MOST_BYTES).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Their own words hold the address, which is the password.
        status = (
            error.response.status_code if isinstance(error, httpx.HTTPStatusError) else type(error).__name__
        )
        raise Refused(f"Slack did not take a message ({status}).") from None


def _mail(
    message: Message, *, host: str, port: int, sender: str, to: str, login: tuple[str, str], seconds: float
) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = message.subject, sender, to
    mail.set_content(message.text)
    try:
        with (
            web.ended_after(seconds) as connections,
            _Server(host, port, seconds, connections) as server,
        ):
            if login[0]:
                server.starttls(context=ssl.create_default_context())
                server.login(*login)
            server.send_message(mail)
    except (OSError, ValueError, smtplib.SMTPException) as error:
        raise Refused(f"{host} did not take an e-mail ({type(error).__name__}).") from None


class _Server(smtplib.SMTP):
    """Its connection is ended with the others, encrypted or not: a timeout for each piece of an answer ends no drip."""

    def __init__(self, host: str, port: int, seconds: float, connections: web.Connections) -> None:
        self._connections = connections
        super().__init__(host, port, timeout=seconds)

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "sock" and isinstance(value, socket.socket):
            self._connections.add(value)
