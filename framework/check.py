"""`python -m framework.check linearizability [--model MODEL] FILE…`: the verdict on histories of any system.

A FILE is the folder of a run, which knows its model, or Jepsen's EDN, or JSON lines such as

    {"process": 0, "type": "invoke", "f": "cas", "key": "x", "value": [1, 2], "time": 1000}
    {"process": 0, "type": "ok", "f": "cas", "key": "x", "value": true, "time": 2500}

`type` is invoke, ok, fail (did not happen) or info (may happen at any time); a completion's value is the result; times
are nanoseconds, or left out if the lines are in order. For each file stdout has its operations and time, and
`verdict: valid|invalid|unknown — reason`; after that, of an invalid one, few operations that show it. Exit code 0 if all are valid, 1 if one is invalid, else 2; a mistake
is one line on stderr, with file and line, and exit code 2.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from framework.console.command import Parser, carried_out, count, duration, one_of
from framework.core.errors import ConfigError
from framework.core.time import SECOND
from framework.verify.bounds import DEFAULT, Bounds
from framework.verify.files import read_calls
from framework.verify.history import Calls, RecordedCalls
from framework.verify.linearizability import Finding, find
from framework.verify.model import Model
from framework.verify.models import AUTO, Models
from framework.verify.verdict import Verdict, worst

CHECKS = ("linearizability",)
PLUGINS = "plugins.path="


def main(argv: Sequence[str]) -> int:
    """The exit code of the command with these arguments."""
    return carried_out(lambda: _check_all(_parsed(argv)), "interrupted before there was a verdict")


def _check_all(asked: argparse.Namespace) -> int:
    if asked.witness is not None and len(asked.files) > 1:
        raise ConfigError("--witness", f"is of one history, and there are {len(asked.files)}", "Give one FILE.")
    models = {file: _model(Path(file), asked) for file in asked.files}
    return worst(_check(Path(file), model, asked) for file, model in models.items()).exit_code


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    head, _, rest = str(__doc__).partition("\n\n")
    parser = Parser("framework.check", f"{head}\n\n{rest}", formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join(Models().names)
    parser.add_argument("check", metavar="linearizability", type=one_of(CHECKS), help="what is checked")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a run's folder, EDN, or JSON lines")
    parser.add_argument(
        "--model", help=f"the sequential model: {names}, or a plugin's of plugins.path=FILE; a run's folder names its own"
    )  # fmt: skip
    parser.add_argument("--initial", metavar="VALUE", help="what each object holds at first, as JSON or plain text")
    parser.add_argument("--independent", action="store_true", help="EDN whose values are [key value]")
    parser.add_argument(
        "--budget", type=count, default=DEFAULT.steps, metavar="STEPS",
        help="steps of the search; when they are spent the verdict is unknown (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=count, default=DEFAULT.memory_mib, metavar="MIB",
        help="what the search may keep, by its own estimate; beyond it the verdict is unknown (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--evidence-budget", type=count, default=DEFAULT.evidence_steps, metavar="STEPS",
        help="steps of the search for few operations that show what is wrong (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--time-limit", type=duration, metavar="TIME",
        help="30s, 5m: when it is over the verdict is unknown, and depends on the machine (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--witness", type=Path, metavar="FILE", help="writes an order that explains a valid history, as JSON lines"
    )
    words = [word for word in argv if not word.startswith(PLUGINS)]
    asked = parser.read(words)
    asked.plugins = [word.removeprefix(PLUGINS) for word in argv if word.startswith(PLUGINS)]
    asked.bounds = Bounds(
        steps=asked.budget,
        memory_mib=asked.memory,
        evidence_steps=asked.evidence_budget,
        seconds=None if asked.time_limit is None else asked.time_limit / SECOND,
    )
    return asked


def _model(path: Path, asked: argparse.Namespace) -> Model:
    """What the history is checked against: the model that was named, else that of the run."""
    if asked.model is not None:
        model: Model | None = _named(asked.model, asked.plugins)
    else:
        model = _model_of_run(path, asked.plugins) if path.is_dir() else None
    if model is None:
        names = ", ".join(Models().names)
        raise ConfigError(str(path), "does not say what it is a history of", f"Give --model: {names}.")
    return model if asked.initial is None else model.starting(_value(asked.initial))


def _named(name: str, plugins: Sequence[str]) -> Model:
    """The model of that name; plugins are loaded only for one that does not come with Synod."""
    models = Models()
    if plugins or name not in models.names:
        from framework.registry.registry import load

        models = Models(load(plugins).models)
    return models.named(name, "--model")


def _model_of_run(folder: Path, plugins: Sequence[str]) -> Model | None:
    """The model that the run's own checker had; else the one that its protocol or state machine names, if any."""
    from framework.config.saved import recompose, saved_plugin_paths
    from framework.registry.registry import load
    from framework.trace.reader import open_run

    config, where = open_run(folder).config, str(folder / "config.yaml")
    registry = load([*dict.fromkeys([*saved_plugin_paths(config), *plugins])])
    chosen: str = (config.get("checker") or {}).get("linearizability", {}).get("model", AUTO)
    models = Models(registry.models) if chosen != AUTO else recompose(config, where, registry).models
    return models.chosen(chosen, where)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _check(path: Path, model: Model, asked: argparse.Namespace) -> Verdict:
    began = time.perf_counter()
    calls = _calls(path, model, independent=asked.independent)
    read = time.perf_counter()
    finding = find(calls, model, asked.bounds)
    _show(path, calls, finding, model, read - began, time.perf_counter() - read)
    if asked.witness is not None and finding.result.verdict is Verdict.VALID:
        _write_witness(asked.witness, calls, model, asked.bounds)
    return finding.result.verdict


def _write_witness(file: Path, calls: Calls, model: Model, bounds: Bounds) -> None:
    from framework.verify.witness import order, write_witness

    placed = order(calls, model, bounds)
    if isinstance(placed, str):
        raise ConfigError(f"--witness {file}", f"no order was written: {placed}", "Give a larger --budget or --memory.")
    write_witness(file, placed)
    print(f"witness: {file}, {len(placed):,} operations in an order that explains them")


def _calls(path: Path, model: Model, *, independent: bool) -> Calls:
    if not path.is_dir():
        return read_calls(path, model, independent=independent)
    from framework.trace.endings import endings
    from framework.trace.reader import open_run

    if not (path / "history.arrow").exists():
        raise ConfigError(str(path), "holds no history.arrow", "Give the folder of a run, or a file.")
    run = open_run(path)
    calls = RecordedCalls(run.history_batches, lambda operations: endings(run, operations))
    for call in calls:
        if call.outcome != "fail":
            try:
                model.prepare(call)
            except ConfigError as error:
                raise ConfigError(str(path / "history.arrow"), error.what, error.fix) from None
    return calls


def _show(path: Path, calls: Calls, finding: Finding, model: Model, read_s: float, checked_s: float) -> None:
    """The verdict at once, and then what shows it."""
    result = finding.result
    fates = {"failed": "fail", "of unknown fate": "unknown"}
    others = [f"{sum(call.outcome == fate for call in calls):,} {words}" for words, fate in fates.items()]
    print(
        f"{path}: {model.name}, {result.operations:,} operations ({', '.join(others)}),"
        f" checked in {checked_s:.3f} s, read in {read_s:.3f} s"
    )
    print(f"verdict: {result.verdict.value} — {result.reason}", flush=True)
    for line in finding.explained().story:
        print(f"  {line}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
