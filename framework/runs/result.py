"""The content of a run's result.json."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from framework.checking.verdict import CheckResult, Verdict
from framework.core.time import SECOND
from framework.core.tracebacks import printable
from framework.engine.base import EngineResult, Experiment
from framework.runs.blocking import Blocking, blocking
from framework.runs.judgement import Judgement

_PACKAGES = ("synod", "msgspec", "pyarrow", "numpy")


class CrashRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A node that stopped, `time_s` seconds into the run; `traceback` is empty unless a handler raised."""

    node: str
    time_s: float
    why: str
    traceback: str


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """A run in numbers. Throughput and latencies cover operations that succeeded after the warm-up.

    `messages` counts deliveries, `dropped` losses and `duplicated` copies by type; `faults` counts the strikes that
    took effect, by fault, and `ledger` names their targets. `notes` counts the protocol's own events; `sometimes`
    counts the events expected in some runs (0: did not happen). `forced_writes` counts, by node, the commits with a
    change of a field that is not lazy (on Ray, one fsync may commit for several nodes), and `blocked` sums the times in
    which nodes declared themselves blocked. `wall_s` is the engine's own time, `process_s` that of
    the whole command until now, `virtual_s` that of the nodes' clocks. `digest` is the same for the same seed and
    config in the simulator; null if nothing was traced.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    checks: tuple[CheckResult, ...]
    experiment: str
    engine: str
    seed: int
    digest: str | None
    operations: dict[str, int]
    throughput_ops_s: float
    latency_ms: dict[str, float | None]
    messages: dict[str, int]
    dropped: dict[str, int]
    duplicated: dict[str, int]
    steps: int
    fsyncs: int
    forced_writes: dict[str, int]
    blocked: Blocking | None
    faults: dict[str, int]
    ledger: tuple[dict[str, Any], ...]
    notes: dict[str, int]
    sometimes: dict[str, int]
    crashes: tuple[CrashRecord, ...]
    virtual_s: float
    wall_s: float
    process_s: float
    started: str
    interrupted: bool
    failure: str
    command: str
    versions: dict[str, str]
    details: dict[str, Any]

    @property
    def summary(self) -> str:
        """The verdict and its first reason in one line: `valid`, or `invalid — why`."""
        why = " ".join(self.reasons[0].split()) if self.reasons else ""
        return f"{self.verdict} — {why}" if why else str(self.verdict)

    def to_json(self) -> bytes:
        """Returns indented JSON, in the order of the fields. Lone surrogates, which JSON cannot hold, are written as
        `\\udcff`."""
        try:
            encoded = msgspec.json.encode(self, enc_hook=str)
        except UnicodeEncodeError:
            encoded = msgspec.json.encode(_printable(msgspec.to_builtins(self, enc_hook=str)))
        return msgspec.json.format(encoded, indent=2) + b"\n"


def build_result(
    experiment: Experiment,
    engine: str,
    ended: EngineResult,
    judgement: Judgement,
    checks: tuple[CheckResult, ...],
    *,
    command: str,
    began: float,
    details: Mapping[str, Any],
) -> RunResult:
    """Returns the result of a run that `ended`; `began` is the start of its command, on `time.time()`."""
    tally = ended.tally
    return RunResult(
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        checks=checks,
        experiment=experiment.name,
        engine=engine,
        seed=experiment.seed,
        digest=ended.digest,
        operations={"ok": tally.ok, "fail": tally.fail, "unknown": tally.unknown},
        throughput_ops_s=round(tally.measured / ended.measured_s, 3) if ended.measured_s > 0 else 0.0,
        latency_ms=dict(tally.latencies.summary_ms()),
        messages=dict(sorted(tally.messages.items())),
        dropped=dict(sorted(tally.dropped.items())),
        duplicated=dict(sorted(tally.duplicated.items())),
        steps=tally.steps,
        fsyncs=tally.fsyncs,
        forced_writes=dict(sorted(tally.forced_writes.items())),
        blocked=blocking(tally.blocked, ended.ledger, ended.crashes, int(ended.virtual_s * SECOND)),
        faults=dict(sorted(tally.faults.items())),
        ledger=tuple(entry.plain() for entry in ended.ledger),
        notes=dict(sorted(tally.notes.items())),
        sometimes={
            wanted.name: max(0, tally.notes.get(wanted.note, 0) + 1 - wanted.at_least)
            for wanted in experiment.protocol.sometimes
        },
        crashes=tuple(
            CrashRecord(node=crash.node, time_s=crash.time / 1e9, why=crash.why, traceback=crash.traceback)
            for crash in ended.crashes
        ),
        virtual_s=round(ended.virtual_s, 6),
        wall_s=round(ended.wall_s, 6),
        process_s=round(time.time() - began, 6),
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        interrupted=ended.interrupted,
        failure=ended.failure,
        command=command,
        versions=versions(engine),
        details={**ended.details, **details},
    )


def _printable(value: Any) -> Any:
    """Returns plain data with all strings replaced by ones that JSON can hold."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {_printable(key): _printable(inner) for key, inner in value.items()}
    return [_printable(inner) for inner in value] if isinstance(value, list | tuple) else value


def versions(engine: str) -> dict[str, str]:
    """Returns the versions of Python, the platform, and the packages that a run's numbers depend on."""
    found = {"python": platform.python_version(), "platform": sys.platform}
    packages = (*_PACKAGES, "ray", "uvloop") if engine == "ray" else _PACKAGES
    return found | {package: _version(package) for package in packages}


@cache
def _version(package: str) -> str:
    """Returns a package's version. Cached, since a process may execute thousands of runs."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
