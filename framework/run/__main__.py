"""The command `python -m framework.run experiment=NAME [group=option] [key=value] …`: runs one experiment.

It checks the run and keeps its folder. With `-m` it runs a sweep: one run for each combination of values.

The last lines on stdout are `verdict: valid|invalid|unknown[ — reason]` and `run: FOLDER`, or `sweep: FOLDER` for a
sweep. The exit code is 0 for valid, 1 for invalid, and 2 for unknown and for any error, which is one line on stderr
(see `framework.console.entry`).
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports, so that their errors are reported too
    from framework.console.entry import run_as_command

    run_as_command("framework.run.__main__")

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from framework.console import arguments
from framework.console.entry import carried_out, keeping_tracebacks
from framework.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from framework.config.resolve import Composed
    from framework.console.arguments import Arguments
    from framework.runs.execute import Plan
    from framework.runs.result import RunResult


def main(argv: Sequence[str], began: float | None = None) -> int:
    """Runs the command and returns its exit code. `began` is the time when it began, from `time.time()`."""
    start = time.time() if began is None else began
    return carried_out(lambda: _run(arguments.parse(argv), start), "interrupted before the run began")


def _run(asked: Arguments, began: float) -> int:
    if asked.help:
        return _help(asked)
    if asked.sweep:
        from framework.console.sweep_command import sweep

        return sweep(asked)
    from framework.config.compose import compose

    composed = compose(list(asked.overrides), asked.config_dir)
    for warning in composed.registry.warnings():
        print(f"warning: {warning}", file=sys.stderr)
    if asked.show_config:
        from framework.runs.folder import config_yaml

        print(config_yaml(composed.config), end="")
        return 0
    run_dir = _claimed(composed)
    with keeping_tracebacks(run_dir):
        return _execute(_plan(composed, run_dir, asked, began), composed, asked.quiet)


def _help(asked: Arguments) -> int:
    """Prints help on all options and keys; if the command line has overrides, on those alone."""
    from framework.config.compose import config_folders, load_plugins
    from framework.config.groups import Groups
    from framework.config.help import help_text
    from framework.config.option_help import help_with, naming_plugins
    from framework.console.formatting import terminal_width

    folders, width = config_folders(asked.config_dir), terminal_width()
    registry = load_plugins(naming_plugins(asked.overrides), asked.config_dir)
    words = [word for word in asked.overrides if not word.startswith("plugins.path=")]
    if words:
        print(help_with(words, Groups(registry, folders), width))
    else:
        print(arguments.help_head(width), help_text(registry, folders, width), sep="\n\n")
    return 0


def _claimed(composed: Composed) -> Path:
    """Creates the run's folder and claims it for this run."""
    from framework.runs import folder

    return (folder.claim if composed.run_dir_chosen else folder.claim_default)(composed.experiment.run_dir)


def _plan(composed: Composed, run_dir: Path, asked: Arguments, began: float) -> Plan:
    """Returns the plan of the run. Writes config.yaml into its folder."""
    from framework.runs import folder
    from framework.runs.commands import replay_command
    from framework.runs.execute import Plan

    experiment = composed.experiment
    config = {**composed.config, "run": {**composed.config["run"], "dir": str(run_dir)}}
    folder.write_config(run_dir, config)
    return Plan(
        experiment=replace(experiment, run_dir=run_dir),
        config=config,
        engine=composed.engine,
        checkers=composed.checkers,
        models=composed.models,
        hook=composed.registry.hook,
        command=replay_command(asked.overrides, asked.config_dir, experiment.seed),
        began=began,
    )


def _execute(plan: Plan, composed: Composed, quiet: bool) -> int:
    from framework.console.progress import screen
    from framework.console.summary import print_summary, print_verdict
    from framework.runs.engines import engine_named
    from framework.runs.execute import execute

    experiment, title = plan.experiment, composed.title
    with screen(title, experiment.duration, quiet=quiet) as shown:
        result = execute(plan, engine_named(plan.engine), shown.show, shown.checking)
    report = _reported(plan, composed, result)
    if not quiet:
        print_summary(result, title)
        if report is not None:
            print(f"report: {report}")
    print_verdict(result, experiment.run_dir)
    return result.verdict.exit_code


def _reported(plan: Plan, composed: Composed, result: RunResult) -> Path | None:
    """Writes the run's report, if it is asked for, and returns its path. A failure changes neither verdict nor exit
    code: it is a line on stderr."""
    from framework.checking.verdict import Verdict

    when = plan.config["run"]["report"]
    if when == "never" or (when == "on_failure" and result.verdict is Verdict.VALID):
        return None
    from framework.core.tracebacks import error_line, place

    try:
        from framework.report.run_report import write_run_report

        return write_run_report(plan.experiment.run_dir, registry=composed.registry)
    except KeyboardInterrupt:
        print("warning: interrupted before report.html was written", file=sys.stderr)
    except ConfigError as error:
        print(f"warning: no report: {error}", file=sys.stderr)
    except Exception as error:
        print(f"warning: no report: unexpected {error_line(error)} ({place(error)})", file=sys.stderr)
    return None
