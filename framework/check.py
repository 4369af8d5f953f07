"""`python -m framework.check linearizability --model MODEL FILE…`: the verdict on histories of any system.

A FILE is the folder of a run, or Jepsen's EDN, or JSON lines such as

    {"process": 0, "type": "invoke", "f": "cas", "key": "x", "value": [1, 2], "time": 1000}
    {"process": 0, "type": "ok", "f": "cas", "key": "x", "value": true, "time": 2500}

`type` is invoke, ok, fail (did not happen) or info (may happen at any time); a completion's value is the result; times
are nanoseconds, or left out if the lines are in order. For each file the last lines on stdout are its operations and
time, and `verdict: valid|invalid|unknown — reason`. Exit code 0 if all are valid, 1 if one is invalid, else 2; a mistake
is one line on stderr, with file and line, and exit code 2.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from framework.core.errors import ConfigError, did_you_mean
from framework.verify.files import read_calls
from framework.verify.history import Call, calls_from_table
from framework.verify.linearizability import DEFAULT_BUDGET_STEPS, check_linearizable
from framework.verify.model import Model
from framework.verify.models import ALIASES, model_named, models
from framework.verify.verdict import CheckResult, Verdict, worst

CHECKS = ("linearizability",)
_MISTAKE = 2


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError("framework.check", message, "See: python -m framework.check --help")


def main(argv: Sequence[str]) -> int:
    """The exit code of the command with these arguments."""
    try:
        asked = _parsed(argv)
        model = model_named(asked.model)
        if asked.initial is not None:
            model = model.starting(_value(asked.initial))
        return worst(_check(Path(file), model, asked) for file in asked.files).exit_code
    except ConfigError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted before there was a verdict", file=sys.stderr)
    return _MISTAKE


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    head, _, rest = str(__doc__).partition("\n\n")
    parser = _Arguments(
        "python -m framework.check",
        description=f"{head}\n\n{rest}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ", ".join([*models(), *ALIASES])
    parser.add_argument("check", metavar="linearizability", help="what is checked")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a run's folder, EDN, or JSON lines")
    parser.add_argument("--model", required=True, help=f"the sequential model: {names}")
    parser.add_argument("--initial", metavar="VALUE", help="what each object holds at first, as JSON or plain text")
    parser.add_argument("--independent", action="store_true", help="EDN whose values are [key value]")
    parser.add_argument(
        "--budget", type=int, default=DEFAULT_BUDGET_STEPS, metavar="STEPS",
        help="steps of the search; when they are spent the verdict is unknown (default %(default)s)",
    )  # fmt: skip
    asked = parser.parse_args(argv)
    if asked.check not in CHECKS:
        raise ConfigError("framework.check", f"unknown check {asked.check!r}", did_you_mean(asked.check, CHECKS))
    if asked.budget < 1:
        raise ConfigError("--budget", f"{asked.budget} steps check nothing", "Write a number above 0.")
    return asked


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _check(path: Path, model: Model, asked: argparse.Namespace) -> Verdict:
    began = time.perf_counter()
    calls = _calls(path, model, independent=asked.independent)
    read = time.perf_counter()
    result = check_linearizable(calls, model, asked.budget)
    _show(path, calls, result, model, read - began, time.perf_counter() - read)
    return result.verdict


def _calls(path: Path, model: Model, *, independent: bool) -> list[Call]:
    if not path.is_dir():
        return read_calls(path, model, independent=independent)
    from framework.trace.reader import open_run

    if not (path / "history.arrow").exists():
        raise ConfigError(str(path), "holds no history.arrow", "Give the folder of a run, or a file.")
    calls = calls_from_table(open_run(path).history)
    for call in calls:
        if call.outcome != "fail":
            try:
                model.prepare(call)
            except ConfigError as error:
                raise ConfigError(str(path / "history.arrow"), error.what, error.fix) from None
    return calls


def _show(path: Path, calls: list[Call], result: CheckResult, model: Model, read_s: float, checked_s: float) -> None:
    for line in result.story:
        print(f"  {line}")
    fates = {"failed": "fail", "of unknown fate": "unknown"}
    others = [f"{sum(call.outcome == fate for call in calls):,} {words}" for words, fate in fates.items()]
    print(
        f"{path}: {model.name}, {result.operations:,} operations ({', '.join(others)}),"
        f" checked in {checked_s:.3f} s, read in {read_s:.3f} s"
    )
    print(f"verdict: {result.verdict.value} — {result.reason}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
