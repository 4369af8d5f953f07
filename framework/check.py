"""`python -m framework.check linearizability [--model MODEL] FILE…`: the verdict on histories of any system.

A FILE is the folder of a run, which knows its model, or Jepsen's EDN, or a JSON array or JSON lines such as

    {"process": 0, "type": "invoke", "f": "cas", "key": "x", "value": [1, 2], "time": 1000}
    {"process": 0, "type": "ok", "f": "cas", "key": "x", "value": true, "time": 2500}

`type` is invoke, ok, fail (did not happen) or info (may happen at any time); a completion's value is the result; times
are nanoseconds, or left out if the lines are in order. For each file the last lines on stdout are its operations and
time, and `verdict: valid|invalid|unknown — reason`; one that cannot be read is a line on stderr, with file and line,
and counts as unknown. Exit code 1 if one is invalid, else 2 if one is unknown, else 0.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("framework.check")

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from framework.console.command import Parser, count, one_of
from framework.console.entry import carried_out, report
from framework.core.errors import ConfigError, PluginError, abbreviated
from framework.core.tracebacks import LONGEST_LINE, printable
from framework.verify.completions import MEANINGS
from framework.verify.files import HistoryFile, ReadOptions, read_history, value_of
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
    model = model_named(asked.model) if asked.model else None
    if model is not None and asked.initial is not None:
        _check_initial(asked.initial, model)
    return worst(_verdict(Path(file), model, asked) for file in asked.files).exit_code


def _check_initial(text: str, model: Model) -> None:
    """ConfigError if no history can begin with the value: neither one in JSON nor one in EDN."""
    try:
        model.starting(value_of(text, "JSON", "--initial"))
    except ConfigError as mistake:
        try:
            model.starting(value_of(text, "EDN", "--initial"))
        except ConfigError:
            raise mistake from None


def _verdict(path: Path, model: Model | None, asked: argparse.Namespace) -> Verdict:
    """The verdict on one file; a mistake in it is a line on stderr, and UNKNOWN."""
    try:
        return _check(path, _model_for(path) if model is None else model, asked)
    except (ConfigError, PluginError) as error:
        report(error)
        return Verdict.UNKNOWN


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    head, _, rest = str(__doc__).partition("\n\n")
    parser = Parser("framework.check", f"{head}\n\n{rest}", formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join([*models(), *ALIASES])
    # fmt: off
    parser.add_argument("check", metavar="linearizability", type=one_of(CHECKS), help="what is checked")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a run's folder, EDN, JSON lines or a JSON array")
    parser.add_argument("--model", help=f"the sequential model: {names}; a run's folder names its own")
    parser.add_argument(
        "--initial", metavar="VALUE",
        help="what each object holds at first, as the file has it: JSON or plain text; or EDN",
    )
    parser.add_argument("--independent", action="store_true", help="each value is a pair: [key value]")
    parser.add_argument(
        "--ignore-nil-reads", action="store_true",
        help="leave out reads that answered nil or null, where that means that the value is not known",
    )
    parser.add_argument(
        "--ok-value", metavar="|".join(MEANINGS), type=one_of(MEANINGS),
        help="what the value of an ok is where it equals the argument: the argument again, or the result"
        " (default: what the rest of the file tells)",
    )
    parser.add_argument(
        "--budget", type=count, default=DEFAULT_BUDGET_STEPS, metavar="STEPS",
        help="steps of the search; when they are spent the verdict is unknown (default %(default)s)",
    )
    # fmt: on
    return parser.read(argv)


def _model_for(path: Path) -> Model:
    """The model that the run in a folder names. ConfigError if there is none."""
    name = _model_of_run(path) if path.is_dir() else None
    if name is None:
        raise ConfigError(str(path), "does not say what it is a history of", f"Give --model: {', '.join(models())}.")
    return model_named(name)


def _model_of_run(folder: Path) -> str | None:
    """The model that the run's own checker had; else the one that its protocol or state machine names, if any."""
    from framework.config.saved import recompose
    from framework.trace.reader import open_run

    config = open_run(folder).config
    chosen: str = (config.get("checker") or {}).get("linearizability", {}).get("model", "auto")
    return recompose(config, str(folder / "config.yaml")).model if chosen == "auto" else chosen


def _check(path: Path, model: Model, asked: argparse.Namespace) -> Verdict:
    began = time.perf_counter()
    how = ReadOptions(asked.independent, asked.ignore_nil_reads, asked.ok_value)
    history, cut = _history_of_run(path, model, how) if path.is_dir() else (read_history(path, model, how), None)
    if asked.initial is not None:
        model = model.starting(value_of(asked.initial, history.notation, "--initial"))
    read = time.perf_counter()
    result = _judge(history, model, asked.budget)
    _show(path, history, result, model, read - began, time.perf_counter() - read, cut)
    return result.verdict


def _history_of_run(folder: Path, model: Model, how: ReadOptions) -> tuple[HistoryFile, int | None]:
    """The history, and where that of a run which was killed ends (nanoseconds; None: it is whole)."""
    from framework.trace.reader import open_run

    run = open_run(folder)
    if not run.has_history:
        raise ConfigError(str(folder), "holds no history.arrow", "Give the folder of a run, or a file.")
    calls = calls_from_table(run.history)
    for call in calls:
        if call.outcome != "fail":
            try:
                model.prepare(call)
            except ConfigError as error:
                raise ConfigError(str(folder / "history.arrow"), error.what, error.fix) from None
    told = [call for call in calls if not (how.ignore_nil_reads and _answers_nil(call))]
    return HistoryFile("JSON", [told], (), 0, len(calls) - len(told)), run.history_cut


def _answers_nil(call: Call) -> bool:
    return call.known and call.function == "read" and call.result is None


def _judge(history: HistoryFile, model: Model, budget_steps: int) -> CheckResult:
    """The verdict on each reading of the history, or UNKNOWN if they differ."""
    first, *others = (check_linearizable(calls, model, budget_steps) for calls in history.readings)
    for other in others:
        if other.verdict is not first.verdict:
            functions = " and ".join(history.ambiguous)
            reason = (
                f"values of {functions} completions equal the arguments: {first.verdict} if they repeat them,"
                f" {other.verdict} if they are the results. --ok-value argument or --ok-value result says which"
            )
            return msgspec.structs.replace(first, verdict=Verdict.UNKNOWN, reason=reason, story=(), key=None)
    return first


def _show(
    path: Path,
    history: HistoryFile,
    result: CheckResult,
    model: Model,
    read_s: float,
    checked_s: float,
    cut: int | None,
) -> None:
    for line in result.story:
        _say(f"  {line}")
    calls = history.readings[0]
    fates = {"failed": "fail", "of unknown fate": "unknown"}
    others = [f"{sum(call.outcome == fate for call in calls):,} {words}" for words, fate in fates.items()]
    if history.skipped:
        others.append(f"{_counted(history.skipped, 'line')} of the nemesis skipped")
    if history.ignored:
        others.append(f"{_counted(history.ignored, 'read')} of nil ignored")
    _say(
        f"{path}: {model.name}, {result.operations:,} operations ({', '.join(others)}),"
        f" checked in {checked_s:.3f} s, read in {read_s:.3f} s"
    )
    part = "" if cut is None else f"; of the first {cut / 1e9:.3f} s, where the history of this run was cut off"
    _say(f"verdict: {result.verdict.value} — {result.reason}{part}")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _say(text: str) -> None:
    """One line, of bounded length whatever the history holds."""
    print(abbreviated(printable(text.replace("\n", " ")), LONGEST_LINE), flush=True)
