"""Addresses that cannot be joined: one line, soon, and no hang."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from framework.core.errors import ConfigError
from framework.engine.ray import runtime as module
from framework.engine.ray.runtime import _probe, check_address


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    accepted.append(server.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in accepted:
            connection.close()


def test_a_ray_client_address_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"a driver outside the cluster cannot reach the nodes' connections"):
        check_address("ray://head:10001")


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "head:port", "head:0", "head:70000", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"is no address. Write HOST:PORT, auto or null"):
        check_address(address)


def test_an_address_is_taken_as_it_is() -> None:
    assert check_address("head:6379") == "head:6379"
    assert check_address("[::1]:6379") == "[::1]:6379"


def test_a_port_where_nobody_listens_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"nobody answers at 127.0.0.1:\d+ .*Is the cluster up\?"):
        _probe(address)
    assert time.monotonic() - began < 5


def test_a_port_that_is_no_rays_ends_in_one_line(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JOIN_S", 2.0)
    with pytest.raises(ConfigError, match=r"does not answer as a Ray cluster within 2 s"):
        _probe(silent_server)
