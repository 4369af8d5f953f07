"""A run on Ray, shown to its protocol's invariants when it is over: the nodes are driven again from the trace."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

from framework.checking.monitors import Halt, Monitors, Watch
from framework.engine.base import Experiment
from framework.replay.ray_replay import RayReplay
from framework.trace.reader import Run


def watch_again(run: Run, experiment: Experiment) -> Watch:
    """What the invariants say of the nodes after each batch that really was, by time.

    A node is followed as far as its record goes; `Watch.lost` has those that could not be followed all the time, up to
    the violation if there was one. Raises ConfigError if the trace has no inputs to drive from, or is damaged.
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
