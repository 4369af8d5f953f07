"""SimEngine: runs an experiment in virtual time."""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import format_exc

import msgspec

from framework.checking.monitors import Halt, Monitors, Watch
from framework.core.errors import PluginFailed
from framework.core.time import SECOND
from framework.engine.base import EngineResult, Experiment, Progress, with_restarts
from framework.engine.sim.simulation import Simulation, Stalled


class SimEngine:
    """The simulator. Same seed and config, same digest, on any machine.

    With `stop` (nanoseconds), a run ends early, after all events up to that time. `simulation` is the last run.
    """

    def __init__(self, stop: int | None = None) -> None:
        self.stop = stop
        self.simulation: Simulation | None = None

    def run(self, experiment: Experiment, progress: Progress) -> EngineResult:
        """Runs to the end, to a KeyboardInterrupt, or to a stall; the files are closed in every case."""
        interrupted, stalled, failure, traceback = False, False, "", ""
        monitors = _monitors(experiment)
        start = time.perf_counter()
        self.simulation = simulation = Simulation(experiment, progress, self.stop)
        recording, heartbeat = simulation.recording, simulation.heartbeat
        if monitors is not None:
            for name in experiment.watched:
                node, watcher = simulation.nodes[name], monitors.watcher(name)
                node.watch, node.on_crash = watcher.observe, watcher.on_crash
        with _quiet_collector(), heartbeat:
            try:
                simulation.run()
            except KeyboardInterrupt:
                interrupted = True
            except Stalled as error:
                stalled, failure = True, str(error)
            except PluginFailed as failed:
                failure, traceback = str(failed), format_exc()
            except Halt:
                pass  # the monitors hold the reason
            finally:
                recording.close()
        return EngineResult(
            tally=simulation.tally,
            crashes=with_restarts(simulation.crashes, simulation.up()),
            wall_s=time.perf_counter() - start,
            virtual_s=simulation.true_time / SECOND,
            measured_s=max(0, min(simulation.true_time, experiment.duration) - experiment.warmup) / SECOND,
            digest=recording.digest,
            interrupted=interrupted or heartbeat.asked,
            failure=failure,
            stalled=stalled,
            ledger=simulation.ledger(),
            settled=None if simulation.settling is None else simulation.settling.settled,
            aftermath=simulation.aftermath,
            final_at=simulation.final_at,
            watch=None if monitors is None else _confirmed(monitors, experiment),
            details={
                "never_started": simulation.clients.never_started,
                **({"failure_traceback": traceback} if traceback else {}),
            },
        )


def _monitors(experiment: Experiment) -> Monitors | None:
    """Returns monitors of the protocol's invariants; None if it has none, or the config turns them off."""
    invariants = experiment.protocol.invariants
    every = int(experiment.engine_config.check_invariants_every) if invariants else 0
    return Monitors(invariants, every) if every else None


def _confirmed(monitors: Monitors, experiment: Experiment) -> Watch:
    """Returns the monitors' result. A violation found by watching only some batches is checked by a rerun that watches
    all.

    With only some batches watched, an invariant that spans nodes may compare one node's present state with another's
    past state.
    """
    watch = monitors.watch()
    if watch.breach is None or monitors.every == 1:
        return watch
    config = msgspec.structs.replace(experiment.engine_config, check_invariants_every=1)
    closer = dataclasses.replace(experiment, trace="none", engine_config=config)
    again = SimEngine(stop=watch.breach.time).run(closer, lambda now, tally: None)
    if again.watch is not None and again.watch.breach is not None:
        return again.watch
    why = f"{watch.breach.what}, but only where every {monitors.every}th batch is shown; check_invariants_every=1 shows all"
    if again.interrupted or again.failure:
        cut = "interrupted" if again.interrupted else again.failure
        why = f"{watch.breach.what}, where every {monitors.every}th batch is shown; looking again in all of them was cut off: {cut}"
    return dataclasses.replace(watch, invariants=(), breach=None, failures={**watch.failures, watch.breach.name: why})


_RARELY = (200_000, 20, 20)
"""Thresholds of the cyclic garbage collector: a simulation makes millions of tuples and hardly any cycles."""


def settle_collector() -> None:
    """Sets up the garbage collector of a process for many runs: it skips all present objects, and runs rarely from now
    on. Each run then starts sooner."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_RARELY)


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """Does the same for one run, unless the process has done it for all."""
    before = gc.get_threshold()
    if before == _RARELY:
        yield
        return
    settle_collector()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
