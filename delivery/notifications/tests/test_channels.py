"""Notifications go over real HTTP and SMTP; what is secret stands in no error."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from delivery.errors import Refused
from delivery.notifications.channels import channels
from delivery.notifications.messages import Message
from delivery.tests import slow
from monitoring.receiver import Received, http_server, smtp_server

MESSAGE = Message(
    "production: 1.6 is released", "1.5 stays stable until its analyses have passed.\n<!channel> & co"
)


@pytest.fixture
def received() -> Received:
    return Received()


@pytest.fixture
def folder(tmp_path: Path, received: Received) -> Iterator[Path]:
    """As the Secret of somebody who wants both."""
    http, smtp = http_server(0, received), smtp_server(0, received)
    for server in (http, smtp):
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    files = {
        "slack-url": f"http://127.0.0.1:{http.server_address[1]}/slack\n",
        "smtp": f"127.0.0.1:{smtp.server_address[1]}",
        "mail-from": "delivery@example.com",
        "mail-to": "team@example.com, lead@example.com",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    yield tmp_path
    for server in (http, smtp):
        server.shutdown()
        server.server_close()


def test_every_channel_gets_the_message(folder: Path, received: Received) -> None:
    for send in channels(str(folder)).values():
        send(MESSAGE)

    slack, mail = received.so_far()
    assert slack["body"]["text"].startswith("*production: 1.6 is released*\n1.5 stays stable")
    assert "&lt;!channel&gt; &amp; co" in slack["body"]["text"], "nobody may call the whole channel"
    assert mail["to"] == "team@example.com, lead@example.com"
    assert "Subject: production: 1.6 is released" in mail["body"]
    assert "<!channel> & co" in mail["body"]


def test_either_channel_works_alone(folder: Path) -> None:
    (folder / "smtp").unlink()
    assert list(channels(str(folder))) == ["Slack"]
    (folder / "slack-url").unlink()
    (folder / "smtp").write_text("127.0.0.1:25")
    assert list(channels(str(folder))) == ["e-mail"]


def test_without_a_folder_there_is_no_channel() -> None:
    assert channels("") == {}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "has neither slack-url nor smtp"),
        ({"smtp": "mail.example.com"}, "smtp must be HOST:PORT"),
        ({"smtp": "mail.example.com:25"}, "must have mail-from as well"),
        ({"smtp": "mail.example.com:25", "mail-from": "a@example.com"}, "must have mail-to as well"),
    ],
)
def test_files_that_make_no_sense_are_refused(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(Refused, match=sentence):
        channels(str(tmp_path))


def test_a_channel_that_fails_is_named_without_what_is_secret(folder: Path) -> None:
    (folder / "slack-url").write_text("http://127.0.0.1:1/T000/secret")
    (folder / "smtp").write_text("127.0.0.1:1")
    for name, send in channels(str(folder)).items():
        with pytest.raises(Refused) as refusal:
            send(MESSAGE)
        assert "secret" not in str(refusal.value)
        assert refusal.value.__cause__ is None
        assert name == "Slack" or "127.0.0.1 did not take an e-mail (ConnectionRefusedError)" in str(
            refusal.value
        )


def test_a_password_goes_over_tls_only(folder: Path, received: Received) -> None:
    (folder / "smtp-user").write_text("delivery")
    (folder / "smtp-password").write_text("hunter2")
    with pytest.raises(Refused, match="did not take an e-mail"):
        channels(str(folder))["e-mail"](MESSAGE)  # the receiver has no TLS
    assert received.so_far() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "pieces", [slow.SILENCE, [b"x"] * 1000, [b"220-wait\r\n"] * 1000], ids=["silent", "bytes", "lines"]
)
def test_who_never_ends_an_answer_is_given_up(folder: Path, pieces: Iterable[bytes]) -> None:
    with slow.server(pieces) as (port, _):
        (folder / "slack-url").write_text(f"http://127.0.0.1:{port}/")
        (folder / "smtp").write_text(f"127.0.0.1:{port}")
        began = time.monotonic()
        for send in channels(str(folder), seconds=0.5).values():
            with pytest.raises(Refused):
                send(MESSAGE)
        assert time.monotonic() - began < 5
