"""`python -m framework.check linearizability [--model MODEL] FILE…`: the verdict on histories of any system.

A FILE is the folder of a run, which knows its model, or Jepsen's EDN, or a JSON array or JSON lines such as

    {"process": 0, "type": "invoke", "f": "cas", "key": "x", "value": [1, 2], "time": 1000}
    {"process": 0, "type": "ok", "f": "cas", "key": "x", "value": true, "time": 2500}

`type` is invoke, ok, fail (did not happen) or info (may happen at any time). A completion's value is the result. Times
are nanoseconds; they may be omitted if the lines are in order. For each file, stdout has its operations and time, and
`verdict: valid|invalid|unknown — reason`, followed for an invalid file by a few operations that show it. A file that
cannot be read is reported by a line on stderr, with file and line, and counts as unknown. Exit code 1 if a file is
invalid, else 2 if one is unknown, else 0.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports, so that their exceptions are reported too
    from framework.console.entry import run_as_command

    run_as_command("framework.check.__main__")

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from framework.checking.history.calls import Call, Endings, calls_from_table, no_endings
from framework.checking.history.completions import MEANINGS
from framework.checking.history.files import HistoryFile, ReadOptions, read_history, value_of
from framework.checking.linearizability.bounds import DEFAULT, Bounds
from framework.checking.linearizability.checker import Finding, concluded, find
from framework.checking.models.catalog import AUTO, Models
from framework.checking.models.model import Model
from framework.checking.verdict import CheckResult, Verdict, worst
from framework.console.command import Parser, count, duration, one_of
from framework.console.entry import carried_out, report
from framework.core.errors import ConfigError, PluginError, abbreviated
from framework.core.time import SECOND
from framework.core.tracebacks import LONGEST_LINE, printable

if TYPE_CHECKING:
    from framework.trace.reader import Run

CHECKS = ("linearizability",)
PLUGINS = "plugins.path="


def main(argv: Sequence[str]) -> int:
    """Runs the command with these arguments; returns its exit code."""
    return carried_out(lambda: _check_all(_parsed(argv)), "interrupted before the check was complete")


def _check_all(asked: argparse.Namespace) -> int:
    if asked.witness is not None and len(asked.files) > 1:
        raise ConfigError("--witness", f"is of one history, and there are {len(asked.files)}", "Give one FILE.")
    model = _named(asked.model, asked.plugins) if asked.model else None
    if model is not None and asked.initial is not None:
        _check_initial(asked.initial, model)
    return worst(_verdict(Path(file), model, asked) for file in asked.files).exit_code


def _check_initial(text: str, model: Model) -> None:
    """Raises ConfigError if no history, in JSON or in EDN, can begin with the value."""
    try:
        model.starting(value_of(text, "JSON", "--initial"))
    except ConfigError as mistake:
        try:
            model.starting(value_of(text, "EDN", "--initial"))
        except ConfigError:
            raise mistake from None


def _verdict(path: Path, model: Model | None, asked: argparse.Namespace) -> Verdict:
    """Returns the verdict on one file. An error in the file is reported on stderr, and yields UNKNOWN."""
    try:
        return _check(path, _model_for(path, asked.plugins) if model is None else model, asked)
    except (ConfigError, PluginError) as error:
        report(error)
        return Verdict.UNKNOWN


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    described = str(__doc__).partition("`: ")[2]
    description = f"{described[0].upper()}{described[1:]}"
    parser = Parser("framework.check", description, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join(Models().names)
    # fmt: off
    parser.add_argument("check", metavar="linearizability", type=one_of(CHECKS), help="what is checked")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a run's folder, EDN, JSON lines or a JSON array")
    parser.add_argument(
        "--model",
        help=f"the sequential model: {names}, or a plugin's, of plugins.path=FILE; a run's folder names its own",
    )
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
        " (default: inferred from the rest of the file)",
    )
    parser.add_argument(
        "--budget", type=count, default=DEFAULT.steps, metavar="STEPS",
        help="steps of the search; when they are spent the verdict is unknown (default %(default)s)",
    )
    parser.add_argument(
        "--memory", type=count, default=DEFAULT.memory_mib, metavar="MIB",
        help="what the search may keep, by its own estimate; beyond it the verdict is unknown (default %(default)s)",
    )
    parser.add_argument(
        "--evidence-budget", type=count, default=DEFAULT.evidence_steps, metavar="STEPS",
        help="steps of the search for few operations that show what is wrong (default %(default)s)",
    )
    parser.add_argument(
        "--time-limit", type=duration, metavar="TIME",
        help="30s, 5m: when it is over the verdict is unknown, and depends on the machine (default: none)",
    )
    parser.add_argument(
        "--witness", type=Path, metavar="FILE", help="writes an order that explains a valid history, as JSON lines"
    )
    # fmt: on
    words = [word for word in argv if not word.startswith(PLUGINS)]
    asked = parser.read(words)
    asked.plugins = _plugin_paths([word for word in argv if word.startswith(PLUGINS)])
    asked.bounds = Bounds(
        steps=asked.budget,
        memory_mib=asked.memory,
        evidence_steps=asked.evidence_budget,
        seconds=None if asked.time_limit is None else asked.time_limit / SECOND,
    )
    return asked


def _model_for(path: Path, plugins: Sequence[str]) -> Model:
    """Returns the model that the run in a folder names. Raises ConfigError if there is none."""
    model = _model_of_run(path, plugins) if path.is_dir() else None
    if model is None:
        names = ", ".join(Models().names)
        raise ConfigError(str(path), "does not say what it is a history of", f"Give --model: {names}.")
    return model


def _plugin_paths(words: Sequence[str]) -> list[str]:
    """Returns the value of `plugins.path` in words such as `plugins.path=[a,b]`."""
    if not words:
        return []
    from framework.config.compose import plugin_paths
    from framework.config.overrides import read_overrides

    return plugin_paths(read_overrides(words), ())


def _named(name: str, plugins: Sequence[str]) -> Model:
    """Returns the model of that name. Plugins are loaded only if given, or for a model that is not built in."""
    models = Models()
    if plugins or name not in models.names:
        from framework.registry.registry import load

        registry = load(plugins)
        models = Models(registry.models)
        if registry.broken and name not in models.names:
            registry.get("model", name)  # raises an error that names the plugin that may have it, and its defect
    return models.named(name, "--model")


def _model_of_run(folder: Path, plugins: Sequence[str]) -> Model | None:
    """Returns the model of the run's own checker; else the one that its protocol or state machine names, if any."""
    from framework.config.saved import recompose, saved_plugin_paths
    from framework.registry.registry import load
    from framework.trace.reader import open_run

    config, where = open_run(folder).config, str(folder / "config.yaml")
    registry = load([*dict.fromkeys([*saved_plugin_paths(config), *plugins])])
    chosen: str = (config.get("checker") or {}).get("linearizability", {}).get("model", AUTO)
    models = Models(registry.models) if chosen != AUTO else recompose(config, where, registry).models
    return models.chosen(chosen, where)


def _check(path: Path, model: Model, asked: argparse.Namespace) -> Verdict:
    began = time.perf_counter()
    how = ReadOptions(asked.independent, asked.ignore_nil_reads, asked.ok_value)
    cut: int | None = None
    endings: Endings = no_endings
    if path.is_dir():
        from framework.runs.operation_endings import endings_of
        from framework.trace.reader import open_run

        run = open_run(path)
        history, cut, endings = _history_of_run(run, model, how), run.history_cut, partial(endings_of, run)
    else:
        history = read_history(path, model, how)
    if asked.initial is not None:
        model = model.starting(value_of(asked.initial, history.notation, "--initial"))
    read = time.perf_counter()
    finding = _judge(history, model, asked.bounds, endings)
    _show(path, history, finding.result, model, read - began, time.perf_counter() - read, cut)
    _explain(finding)
    if asked.witness is not None and finding.result.verdict is Verdict.VALID:
        _write_witness(asked.witness, history.readings[0], model, asked.bounds)
    return finding.result.verdict


def _history_of_run(run: Run, model: Model, how: ReadOptions) -> HistoryFile:
    if not run.has_history:
        raise ConfigError(str(run.folder), "holds no history.arrow", "Give the folder of a run, or a file.")
    calls = calls_from_table(run.history)
    for call in calls:
        if call.outcome != "fail":
            try:
                model.prepare(call)
            except ConfigError as error:
                raise ConfigError(str(run.folder / "history.arrow"), error.what, error.fix) from None
    told = [call for call in calls if not (how.ignore_nil_reads and _answers_nil(call))]
    return HistoryFile("JSON", [told], (), 0, len(calls) - len(told))


def _answers_nil(call: Call) -> bool:
    return call.known and call.function == "read" and call.result is None


def _judge(history: HistoryFile, model: Model, bounds: Bounds, endings: Endings) -> Finding:
    """Returns the verdict on all readings of the history, or UNKNOWN if they differ."""
    first, *others = (find(calls, model, bounds, endings) for calls in history.readings)
    verdict = first.result.verdict
    for other in others:
        if other.result.verdict is not verdict:
            functions = " and ".join(history.ambiguous)
            reason = (
                f"values of {functions} completions equal the arguments: {verdict} if they repeat them,"
                f" {other.result.verdict} if they are the results. --ok-value argument or --ok-value result says which"
            )
            return concluded(msgspec.structs.replace(first.result, verdict=Verdict.UNKNOWN, reason=reason, key=None))
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


def _explain(finding: Finding) -> None:
    """Prints the evidence. The verdict is printed already, so a model that raises here does not change it."""
    try:
        story = finding.explained().story
    except PluginError as error:
        report(error)
        return
    for line in story:
        _say(f"  {line}")


def _write_witness(file: Path, calls: list[Call], model: Model, bounds: Bounds) -> None:
    from framework.checking.linearizability.witness import order, write_witness

    placed = order(calls, model, bounds)
    if isinstance(placed, str):
        raise ConfigError(f"--witness {file}", f"no order was written: {placed}", "Give a larger --budget or --memory.")
    write_witness(file, placed)
    _say(f"witness: {file}, {len(placed):,} operations in an order that explains them")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _say(text: str) -> None:
    """Prints one line, of bounded length whatever the history holds."""
    print(abbreviated(printable(text.replace("\n", " ")), LONGEST_LINE), flush=True)
