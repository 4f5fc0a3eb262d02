"""Slow clients send a byte at a time, on so many connections, and come again when they are sent away."""

from __future__ import annotations

import socket

from drills.load.slow_clients import SlowClients


def test_each_sends_its_head_and_then_a_byte_each_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        clients = SlowClients(f"http://127.0.0.1:{server.getsockname()[1]}", "api.production.localhost", 3)
        for _ in range(2):
            clients.send()
        received = []
        for _ in range(3):
            connection, _ = server.accept()
            with connection:
                received.append(connection.recv(10_000).decode())
        for each in received:
            head, _, body = each.partition("\r\n\r\n")
            assert head.startswith(
                "POST /api/v1/auth/register/ HTTP/1.1\r\nHost: api.production.localhost\r\n"
            )
            assert "Content-Length: 1000" in head
            assert body == "{  "
        assert (clients.connections, clients.sent) == (3, 6)

        for _ in range(3):  # until the reset is known, and then anew
            clients.send()
        assert clients.connections == 6
        clients.close()


def test_nobody_there_is_no_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    clients = SlowClients(f"http://127.0.0.1:{port}", "api.production.localhost", 2)
    clients.send()
    assert (clients.connections, clients.sent) == (0, 0)
