"""The command `python -m framework.run -m …`: runs a sweep and returns its exit code."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from framework.console.arguments import Arguments
from framework.console.entry import MISTAKE, say
from framework.console.formatting import counted
from framework.console.sweep_screen import COMBINATIONS_SHOWN, Summary, SweepScreen
from framework.core.command_line import command_line, command_name
from framework.core.errors import ConfigError
from framework.core.tracebacks import error_line, place
from framework.sweep.identity import Identity, identity_of
from framework.sweep.launch import runner_of
from framework.sweep.plan import SweepPlan, plan_sweep
from framework.sweep.resume import planned_run
from framework.sweep.rows import axis_type
from framework.sweep.store import KEPT, Head, Store, read_head
from framework.sweep.sweep_run import SweepRun


def sweep(asked: Arguments) -> int:
    """Runs the missing points of a sweep. Returns 0 if all runs are valid, 1 if one is invalid, 2 otherwise."""
    try:
        return _sweep(asked)
    except KeyboardInterrupt:
        say("interrupted: finished runs are kept; the same command continues the sweep")
        return MISTAKE


def _sweep(asked: Arguments) -> int:
    plan = _planned(asked)
    for warning in plan.composed.registry.warnings():
        print(f"warning: {warning}", file=sys.stderr)
    if asked.show_config:
        return _show_config(plan)
    identity = identity_of(plan)
    with _interruptible(), Store(plan.folder, head_of(plan, identity, any_code=asked.any_code)) as store:
        sweep_run = planned_run(plan, identity, store, rerun=asked.rerun, any_code=asked.any_code)
        if not asked.quiet:
            _announce(sweep_run)
        if _interrupted(sweep_run, quiet=asked.quiet):
            return _say_verdict(Summary(sweep_run))
        return _conclude(sweep_run, quiet=asked.quiet)


def _interrupted(sweep_run: SweepRun, *, quiet: bool) -> bool:
    """Runs the missing points. Returns True if interrupted, and reports that before it ends the workers and Ray."""
    with runner_of(sweep_run.plan) as runner:
        try:
            with SweepScreen(sweep_run.plan.name, quiet=quiet) as screen:
                sweep_run.began = time.monotonic()
                sweep_run.run(runner, screen)
        except KeyboardInterrupt:
            sweep_run.store.seal()
            done = f"{sweep_run.finished:,} of {counted(len(sweep_run.missing), 'run')} {'is' if sweep_run.finished == 1 else 'are'} done"
            print(f"interrupted: {done}; to continue:", file=sys.stderr)
            code = ["--code", "any"] if sweep_run.any_code else []
            command = command_line("framework.run", "--resume", str(sweep_run.plan.folder), *code)
            print(f"  {command}", file=sys.stderr, flush=True)
            return True
    return False


def _planned(asked: Arguments) -> SweepPlan:
    """Returns the plan of the command line's sweep.

    With --resume that is the folder's sweep; overrides on the command line replace the folder's own for the same keys.
    """
    if asked.resume is None:
        return plan_sweep(asked.overrides, asked.config_dir)
    head = read_head(Path(asked.resume).expanduser())
    own = {_key(word) for word in asked.overrides}
    if "sweep.dir" in own:
        raise ConfigError(command_name("framework.run"), "--resume and sweep.dir both name a folder", "Leave one out.")
    kept = [word for word in head.overrides if _key(word) not in {*own, "sweep.dir"}]
    return plan_sweep([*kept, *asked.overrides], asked.config_dir or head.config_dir, asked.resume)


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def head_of(plan: SweepPlan, identity: Identity, *, any_code: bool = False) -> Head:
    """Returns the record that describes the sweep in its folder."""
    return Head(
        engine=plan.engine,
        fixed=plan.identity,
        axes={axis.key: axis_type(axis) for axis in plan.axes},
        code=identity.code,
        any_code=any_code,
        overrides=plan.overrides,
        config_dir=plan.config_dir and str(Path(plan.config_dir).resolve()),
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def _show_config(plan: SweepPlan) -> int:
    """Prints the points, and the config of the first."""
    from framework.runs.folder import config_yaml

    points, seeds = plan.points, plan.points.seeds
    print(
        f"# {counted(len(points), 'point')}, each combination with {counted(len(seeds), 'seed')}, from {seeds[0]} to {seeds[-1]}:"
    )
    for number in range(min(points.combinations, COMBINATIONS_SHOWN)):
        print(f"#   {' '.join(points.overrides(points.combination(number))) or 'one combination'}")
    if points.combinations > COMBINATIONS_SHOWN:
        print(f"#   … {points.combinations - COMBINATIONS_SHOWN:,} more")
    print(f"# The first:\n{config_yaml(plan.composed.config)}", end="")
    return 0


def _announce(sweep_run: SweepRun) -> None:
    """Prints the number of points to run, and of rows that are already there."""
    plan, asked = sweep_run.plan, len(sweep_run.missing) + sweep_run.done
    beside = len(sweep_run.store.keys) - sweep_run.done
    words = [f"{counted(asked, 'point')}, {len(sweep_run.missing):,} to run"]
    told = {
        f"{sweep_run.done:,} already done": sweep_run.done,
        f"{sweep_run.others:,} of them have rows of other code or configs (--code any counts those)": sweep_run.others,
        f"{counted(beside - sweep_run.others, 'row')} of other points or code in the folder": beside > sweep_run.others,
        f"{sweep_run.twice:,} draws repeated a combination": sweep_run.twice,
    }
    words += [text for text, is_so in told.items() if is_so]
    print(f"{plan.name}: {', '.join(words)}; folder {plan.folder}", file=sys.stderr, flush=True)


def _conclude(sweep_run: SweepRun, *, quiet: bool) -> int:
    _report_kept(sweep_run)
    summary = Summary(sweep_run)
    if not quiet:
        summary.print()
        print()
    return _say_verdict(summary)


def _report_kept(sweep_run: SweepRun) -> None:
    """Writes the reports of the runs that were kept because they are not valid. A failure is a line on stderr."""
    plan = sweep_run.plan
    if not (plan.folder / KEPT).is_dir() or plan.composed.config["run"]["report"] == "never":
        return
    from framework.report.sweep_report import write_kept_reports

    try:
        write_kept_reports(plan.folder, plan.composed.registry)
    except KeyboardInterrupt:
        print("warning: interrupted before all reports of the kept runs were written", file=sys.stderr)
    except Exception as error:
        print(f"warning: no reports of the kept runs: unexpected {error_line(error)} ({place(error)})", file=sys.stderr)


def _say_verdict(summary: Summary) -> int:
    """Prints the last two lines, which scripts read. Returns the exit code."""
    print(f"verdict: {summary.verdict}")
    print(f"sweep: {summary.sweep_run.plan.folder}", flush=True)
    return summary.exit_code


@contextmanager
def _interruptible() -> Iterator[None]:
    """Treats SIGTERM like Ctrl-C. After the first of either, ignores both, so that the process can end undisturbed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is interrupt and handler is not None:
                signal.signal(number, handler)
