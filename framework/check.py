"""`python -m framework.check linearizability [--model MODEL] FILE…`: the verdict on histories of any system.

A FILE is the folder of a run, which knows its model, or Jepsen's EDN, or JSON lines such as

    {"process": 0, "type": "invoke", "f": "cas", "key": "x", "value": [1, 2], "time": 1000}
    {"process": 0, "type": "ok", "f": "cas", "key": "x", "value": true, "time": 2500}

`type` is invoke, ok, fail (did not happen) or info (may happen at any time); a completion's value is the result; times
are nanoseconds, or left out if the lines are in order. For each file the last lines on stdout are its operations and
time, and `verdict: valid|invalid|unknown — reason`. Exit code 0 if all are valid, 1 if one is invalid, else 2; a mistake
is one line on stderr, with file and line, and exit code 2.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("framework.check")

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from framework.console.command import Parser, count, one_of
from framework.console.entry import carried_out
from framework.core.errors import ConfigError
from framework.verify.files import read_calls
from framework.verify.history import Call, calls_from_table
from framework.verify.linearizability import DEFAULT_BUDGET_STEPS, check_linearizable
from framework.verify.model import Model
from framework.verify.models import ALIASES, model_named, models
from framework.verify.verdict import CheckResult, Verdict, worst

CHECKS = ("linearizability",)


def main(argv: Sequence[str]) -> int:
    """The exit code of the command with these arguments."""
    return carried_out(lambda: _check_all(_parsed(argv)), "interrupted before there was a verdict")


def _check_all(asked: argparse.Namespace) -> int:
    models = {file: _model(Path(file), asked) for file in asked.files}
    return worst(_check(Path(file), model, asked) for file, model in models.items()).exit_code


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    head, _, rest = str(__doc__).partition("\n\n")
    parser = Parser("framework.check", f"{head}\n\n{rest}", formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join([*models(), *ALIASES])
    parser.add_argument("check", metavar="linearizability", type=one_of(CHECKS), help="what is checked")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a run's folder, EDN, or JSON lines")
    parser.add_argument("--model", help=f"the sequential model: {names}; a run's folder names its own")
    parser.add_argument("--initial", metavar="VALUE", help="what each object holds at first, as JSON or plain text")
    parser.add_argument("--independent", action="store_true", help="EDN whose values are [key value]")
    parser.add_argument(
        "--budget", type=count, default=DEFAULT_BUDGET_STEPS, metavar="STEPS",
        help="steps of the search; when they are spent the verdict is unknown (default %(default)s)",
    )  # fmt: skip
    return parser.read(argv)


def _model(path: Path, asked: argparse.Namespace) -> Model:
    """What the history is checked against: the model that was named, else that of the run."""
    name = asked.model or (_model_of_run(path) if path.is_dir() else None)
    if name is None:
        raise ConfigError(str(path), "does not say what it is a history of", f"Give --model: {', '.join(models())}.")
    model = model_named(name)
    return model if asked.initial is None else model.starting(_value(asked.initial))


def _model_of_run(folder: Path) -> str | None:
    """The model that the run's own checker had; else the one that its protocol or state machine names, if any."""
    from framework.config.saved import recompose
    from framework.trace.reader import open_run

    config = open_run(folder).config
    chosen: str = (config.get("checker") or {}).get("linearizability", {}).get("model", "auto")
    return recompose(config, str(folder / "config.yaml")).model if chosen == "auto" else chosen


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets without end
        raise ConfigError("--initial", f"cannot be read: {error}", "Give a shorter value.") from error


def _check(path: Path, model: Model, asked: argparse.Namespace) -> Verdict:
    began = time.perf_counter()
    calls, cut = _calls(path, model, independent=asked.independent)
    read = time.perf_counter()
    result = check_linearizable(calls, model, asked.budget)
    _show(path, calls, result, model, read - began, time.perf_counter() - read, cut)
    return result.verdict


def _calls(path: Path, model: Model, *, independent: bool) -> tuple[list[Call], int | None]:
    """The calls, and where the history of a run that was killed ends (nanoseconds; None: it is whole)."""
    if not path.is_dir():
        return read_calls(path, model, independent=independent), None
    from framework.trace.reader import open_run

    run = open_run(path)
    if not run.has_history:
        raise ConfigError(str(path), "holds no history.arrow", "Give the folder of a run, or a file.")
    calls = calls_from_table(run.history)
    for call in calls:
        if call.outcome != "fail":
            try:
                model.prepare(call)
            except ConfigError as error:
                raise ConfigError(str(path / "history.arrow"), error.what, error.fix) from None
    return calls, run.history_cut


def _show(
    path: Path, calls: list[Call], result: CheckResult, model: Model, read_s: float, checked_s: float, cut: int | None
) -> None:
    for line in result.story:
        print(f"  {line}")
    fates = {"failed": "fail", "of unknown fate": "unknown"}
    others = [f"{sum(call.outcome == fate for call in calls):,} {words}" for words, fate in fates.items()]
    print(
        f"{path}: {model.name}, {result.operations:,} operations ({', '.join(others)}),"
        f" checked in {checked_s:.3f} s, read in {read_s:.3f} s"
    )
    part = "" if cut is None else f"; of the first {cut / 1e9:.3f} s, where the history of this run was cut off"
    print(f"verdict: {result.verdict.value} — {result.reason}{part}", flush=True)
