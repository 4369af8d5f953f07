"""Checks a protocol's invariants on a Ray run after its end, by a replay of the nodes from the trace."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

from framework.checking.monitors import Halt, Monitors, Watch
from framework.engine.base import Experiment
from framework.replay.ray_replay import RayReplay
from framework.trace.reader import Run


def watch_again(run: Run, experiment: Experiment) -> Watch:
    """Evaluates the invariants on the nodes after each batch, by time, except for batches that a crash undid.

    A node is followed as far as its record goes. `Watch.lost` has the nodes that could not be followed all the time, up
    to the violation if there was one. Raises ConfigError if the trace has no inputs to replay, or is damaged.
    """
    monitors = Monitors(experiment.protocol.invariants)
    replay = RayReplay(run, experiment.watched, experiment, monitors.watcher)
    with suppress(Halt):
        replay.drive()
    lost = {}
    reports = replay.reports()
    for report in reports:
        if report.divergence is not None:
            at = f"{report.divergence.step.time / 1e9:.3f} s"
            lost[report.node] = f"driven again it departs from its record at {at}"
        elif report.lacking:
            lost[report.node] = report.lacking
    unseen = max((report.unseen for report in reports), default=0)
    return dataclasses.replace(monitors.watch(), lost=lost, unseen=unseen)
