"""The Ray runtime of a run: its own on this machine, a cluster that it joins, or the one that this process has."""

from __future__ import annotations

import logging
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.core.errors import ConfigError

WHERE = "engine.address"
HERE = ("auto", "local")
PROBE_S = 5.0
JOIN_S = 20.0
STOP_S = 3.0
OBJECT_STORE_BYTES = 256 << 20

_RAISED = re.compile(r"[\w.]*(Error|Exception|Exit)\b")  # the last line of a traceback

_JOIN = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='critical')"


@dataclass(frozen=True)
class RayRuntime:
    """A runtime that is up."""

    machine: str  # Ray's id of the driver's machine
    local: bool  # started by us, on this machine alone
    clustered: bool  # other machines may be part of it


@contextmanager
def runtime(address: str | None, actors: int, modules: tuple[str, ...]) -> Iterator[RayRuntime]:
    """Provides a runtime for the duration of the context; one that this process had before stays up.

    `address` None starts one for `actors` actors. On a cluster the code of `modules` (packages or files) is sent to the
    workers. Raises ConfigError if there is no such cluster, or it does not answer within 25 seconds.
    """
    import ray

    with quiet(), _interpreter_as_it_is():
        if ray.is_initialized():
            many = len(ray.nodes()) > 1  # type: ignore[no-untyped-call]
            yield RayRuntime(ray.get_runtime_context().get_node_id(), False, many)
        elif address is None:
            with _local(actors) as started:
                yield started
        else:
            with _joined(address, modules) as joined:
                yield joined


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Ray from reporting dead workers on the user's terminal; the caller handles them."""
    from ray._private import worker

    log = logging.getLogger("ray")
    before = log.level, worker._worker_logs_enabled
    log.setLevel(logging.CRITICAL)
    worker._worker_logs_enabled = False
    try:
        yield
    finally:
        log.setLevel(before[0])
        worker._worker_logs_enabled = before[1]


@contextmanager
def _interpreter_as_it_is() -> Iterator[None]:
    """Keeps Ray from starting every worker through uv, in a copy of the working directory, if the driver was started
    by `uv run`.

    That would build an environment for each worker, and fail if uv cannot build the driver's own (offline,
    `--no-sync`). The workers need no Python other than Ray's: Synod puts its code and the plugins on their path.
    """
    from ray._private import ray_constants

    before = ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV
    ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False
    try:
        yield
    finally:
        ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = before


@contextmanager
def _local(actors: int) -> Iterator[RayRuntime]:
    import ray

    root = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(dict.fromkeys([root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]))
    settings = {
        "PYTHONPATH": path,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_ADDRESS": None,
    }
    with _environment(settings):
        _read_settings_again()
        try:
            with _only_what_runs_need():
                _init(
                    address="local", num_cpus=max(actors, os.cpu_count() or 1), include_dashboard=False,
                    log_to_driver=False, logging_level=logging.CRITICAL, object_store_memory=OBJECT_STORE_BYTES,
                    _node_ip_address="127.0.0.1",
                )  # fmt: skip
        except BaseException as error:
            with undisturbed():
                _stop_local()
            if not isinstance(error, Exception):
                raise
            raise ConfigError("engine=ray", f"Ray does not start on this machine ({_line(error)})") from error
        try:
            yield RayRuntime(ray.get_runtime_context().get_node_id(), True, False)
        finally:
            with undisturbed():
                _stop_local()
    _read_settings_again()


_NOT_NEEDED = ("start_api_server", "start_monitor", "start_log_monitor")
"""Methods of Ray's `Node`; each starts a Python process, and `ray.init` waits for the first."""


@contextmanager
def _only_what_runs_need() -> Iterator[None]:
    """Keeps Ray from starting the server of its dashboard, its autoscaler and its collector of logs: runs use none."""
    from ray._private.node import Node

    before = {name: vars(Node)[name] for name in _NOT_NEEDED if name in vars(Node)}
    for name in before:
        setattr(Node, name, lambda node, **settings: None)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(Node, name, method)


def _stop_local() -> None:
    """Ends the runtime that we started, and returns only when its last process is gone."""
    import psutil  # type: ignore[import-untyped]  # bundled with Ray
    import ray

    before = psutil.Process().children(recursive=True)
    ray.shutdown()
    ours = [process for process in before if _is_rays(process)]
    for process in psutil.wait_procs(ours, timeout=STOP_S)[1]:
        process.kill()
    psutil.wait_procs(ours, timeout=STOP_S)


@contextmanager
def _joined(address: str, modules: tuple[str, ...]) -> Iterator[RayRuntime]:
    import ray

    address = _running_here(address) if address in HERE else address
    _probe(address)
    try:
        _init(
            address=address, log_to_driver=False, logging_level=logging.CRITICAL,
            runtime_env={"py_modules": list(modules)} if modules else None,
        )  # fmt: skip
    except (Exception, SystemExit) as error:
        raise ConfigError(WHERE, f"{address} cannot be joined ({_line(error)})") from error
    try:
        yield RayRuntime(ray.get_runtime_context().get_node_id(), False, True)
    finally:
        ray.shutdown()


class _NoFolders(list[str]):
    """A list that stays empty, whatever Ray adds."""

    def extend(self, folders: Iterable[str]) -> None:
        pass


def _init(**settings: Any) -> None:
    """Calls `ray.init` without two of its side effects.

    It would replace the program's own SIGTERM handler. And it would put the driver's working directory first on the
    import path of the workers, where a folder called `framework` would shadow Synod's; Synod's actors append the
    driver's folders themselves (`own_folders`).
    """
    import ray
    from ray.job_config import JobConfig

    job = JobConfig()
    job._py_driver_sys_path = _NoFolders()
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    ray.init(job_config=job, **settings)
    if main:
        signal.signal(signal.SIGTERM, before)


def own_folders() -> list[str]:
    """Returns the folders of `sys.path` other than Python's own: a worker may lack them."""
    return [os.path.abspath(folder) for folder in sys.path if not folder.startswith((sys.prefix, sys.base_prefix))]


def is_up() -> bool:
    """Returns whether this process has a runtime already, without importing Ray."""
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def check_address(address: str) -> None:
    """Raises ConfigError for an invalid address, or one of a cluster that cannot be joined."""
    if address.startswith("ray://"):
        raise ConfigError(
            WHERE, f"{address}: a driver outside the cluster cannot reach the nodes' connections",
            "Run on a machine of the cluster, with engine.address=auto or HOST:PORT.",
        )  # fmt: skip
    host, _, port = address.rpartition(":")
    if address not in HERE and (not host or not port.isdigit() or not 0 < int(port) < 65536):
        raise ConfigError(WHERE, f"{address!r} is not an address", "Write HOST:PORT, auto or null.")


def _running_here(address: str) -> str:
    """Returns HOST:PORT of the Ray cluster on this machine. Raises ConfigError if there is none."""
    from ray._private.services import canonicalize_bootstrap_address

    try:
        found = canonicalize_bootstrap_address("auto") if address == "auto" else None
    except ConnectionError:
        found = None
    if not found:
        fix = "Start one with `ray start --head`, or write null."
        raise ConfigError(WHERE, f"{address}: no Ray runs on this machine", fix)
    return str(found)


def _probe(address: str) -> None:
    """Tries to join in a child process: if an address does not answer, Ray hangs for minutes and then exits."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_S).close()
    except OSError as error:
        raise ConfigError(WHERE, f"no answer from {address} ({error})", "Is the cluster up?") from error
    try:
        joined = subprocess.run(
            [sys.executable, "-P", "-c", _JOIN, address], capture_output=True, text=True, timeout=JOIN_S, check=False,
            env={**os.environ, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            WHERE, f"{address} does not answer as a Ray cluster within {JOIN_S:g} s",
            "Name the port of its head, as `ray start --head` printed it.",
        ) from error  # fmt: skip
    if joined.returncode:
        last = (joined.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ConfigError(WHERE, f"{address} cannot be joined ({last[:200]})")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignores Ctrl-C while files are closed and processes ended; both have time limits of their own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _environment(settings: Mapping[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    _set(settings)
    try:
        yield
    finally:
        _set(before)


def last_words() -> str:
    """Returns the last exception of a Ray worker that died while starting on this machine; "" if there is none."""
    from ray._private import worker

    if worker._global_node is None:
        return ""
    log = Path(worker._global_node.get_logs_dir_path()) / "raylet.err"
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    if "crashed during start" not in text:
        return ""
    raised = [line for line in text.splitlines() if _RAISED.match(line)]
    return raised[-1][:200] if raised else f"see {log}"


def _set(settings: Mapping[str, str | None]) -> None:
    for name, value in settings.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _read_settings_again() -> None:
    """Makes Ray read its settings and token again: it reads the environment at import, which may precede ours."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def _is_rays(process: Any) -> bool:
    """Returns whether a process belongs to Ray, as opposed to other children of the program."""
    import psutil

    try:
        return any("ray" in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def _line(error: BaseException) -> str:
    text: Any = str(error).strip() or type(error).__name__
    return str(text.splitlines()[0])[:200]
