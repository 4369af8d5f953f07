"""Starting Ray, and addresses that cannot be joined: one line, soon, and no hang."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from framework.core.errors import ConfigError
from framework.engine.ray import runtime as module
from framework.engine.ray.runtime import _probe, check_address, last_words
from framework.registry.discovery import ROOT


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
    with pytest.raises(ConfigError, match=r"is not an address. Write HOST:PORT, auto or null"):
        check_address(address)


def test_an_address_is_taken_as_it_is() -> None:
    for address in ("head:6379", "[::1]:6379", "auto"):
        check_address(address)


def test_a_port_where_nobody_listens_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"no answer from 127.0.0.1:\d+ .*Is the cluster up\?"):
        _probe(address)
    assert time.monotonic() - began < 5


def test_a_port_that_is_no_rays_ends_in_one_line(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JOIN_S", 2.0)
    with pytest.raises(ConfigError, match=r"does not answer as a Ray cluster within 2 s"):
        _probe(silent_server)


@pytest.mark.ray
def test_under_uv_run_workers_are_started_as_the_driver_was(tmp_path: Path) -> None:
    """Ray looks for an ancestor called `uv run`, and would start every worker with it. Here it is a shell of that name, and
    there is no uv to start anything with."""
    words = ["experiment=hello", "duration=300ms", "engine.start_timeout=30s", "run.dir=mine", "--quiet"]
    command = shlex.join([sys.executable, "-m", "framework.run", *words])
    (tmp_path / "run").write_text(f"{command}\nexit $?\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        ["uv", "run"], executable="/bin/sh", cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90,
        check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "verdict: valid\nrun: mine\n", "")


def test_what_a_worker_said_that_died_at_its_start_is_found_in_rays_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray._private import worker

    log = tmp_path / "raylet.err"
    monkeypatch.setattr(worker, "_global_node", SimpleNamespace(get_logs_dir_path=lambda: str(tmp_path)))
    assert last_words() == ""
    log.write_text("Traceback (most recent call last):\n  import ray\nModuleNotFoundError: No module named 'ray'\n")
    assert last_words() == "", "a traceback alone may be of a process that was replaced"
    log.write_text(f"{log.read_text()}[date] (raylet) worker_pool.cc:660: probably it crashed during start.\n")
    assert last_words() == "ModuleNotFoundError: No module named 'ray'"
    log.write_text("worker_pool.cc:660: probably it crashed during start.\n")
    assert last_words() == f"see {log}"
