r"""The history of a run in Jepsen's EDN, one map a line, as Jepsen's `history.edn` is; Elle and Knossos read it too.

    {:index 0, :type :invoke, :process 0, :f :write, :value ["k1" "a"], :time 2770821, :client "c1"}
    {:index 1, :type :ok, :process 0, :f :write, :value ["k1" "a"], :time 4770821, :client "c1"}

- If an operation has a key, every value is a tuple `[key value]`, as `jepsen.independent` has them, and
  `framework.check` reads the file with `--independent`.
- An operation of unknown outcome ends with `:info`; one that never ended, with an `:info` behind the last event.
- `:ok` repeats the argument of `write`, `append`, `enqueue` and the like, and otherwise has the result. A `cas` that did
  not find the old value is a `:fail`. Where `:value` does not show the result, it is in `:synod/result`, so that
  `framework.check` comes to the same verdict as on the run's folder.
- The micro-operations of a `txn` have keywords: `[[:r "x" nil] [:w "y" 1]]`.
- Faults are `:info` of the process `:nemesis`.
- The order of the lines counts. Operations with equal times are concurrent in a run: at one instant invocations come
  first and completions last, as far as each process does one thing at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.core.errors import ConfigError
from framework.export.recorded_run import RecordedRun

REPEATED = (
    "write", "cas", "append", "delete", "add", "remove", "enqueue", "push", "increment", "acquire", "release",
)  # fmt: skip
"""The functions whose `:ok` repeats the argument."""
UNANSWERED = ("write", "append", "delete", "enqueue", "push")
"""Those of them whose result carries no information in any model."""

_KEYWORD = re.compile(r"[A-Za-z*!_?$%&=<>+.-][\w*!?$%&=<>+.#-]*", re.ASCII)
_ROWS_AT_ONCE = 1 << 13
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = {ord(letter): escape for letter, escape in _ESCAPES.items()} | {
    code: f"\\u{code:04x}" for code in range(32) if chr(code) not in _ESCAPES
}


def write_jepsen(recorded: RecordedRun, path: Path) -> str:
    """Writes the history of a run to `path`. Returns a summary.

    Raises ConfigError if the run has no history; OSError.
    """
    history = recorded.history()
    if not history.num_rows:
        what = "holds no operations"
        if not recorded.run.has_history:
            what = f"holds no history{f': it was run with trace={recorded.level}' * (recorded.level == 'none')}"
        raise ConfigError(str(recorded.run.folder), what, "Run it again with trace=full or trace=history.")
    has_keys = history["key"].null_count < history.num_rows
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for index, line in enumerate(_lines(history, _faults(recorded), has_keys=has_keys)):
            file.write(f"{{:index {index}, {line}}}\n")
    keys = "; values are [key value]" if has_keys else ""
    return f"{history.num_rows:,} operations{keys}"


def _lines(history: pa.Table, faults: list[tuple[int, str]], *, has_keys: bool) -> Iterator[str]:
    """Yields the content of each map, in the order of the events."""
    ends = order_of_ends(history)
    last = max(pc.max(history[name]).as_py() or 0 for name in ("invoked", "completed"))
    place = 0
    for start in range(0, len(ends), _ROWS_AT_ONCE):
        entries = ends[start : start + _ROWS_AT_ONCE]
        rows = history.take(pa.array(entries >> 1)).to_pylist()
        for row, is_completion in zip(rows, (entries & 1).tolist(), strict=True):
            completed = last if row["completed"] is None else row["completed"]
            time = completed if is_completion else row["invoked"]
            while place < len(faults) and faults[place][0] <= time:
                yield faults[place][1]
                place += 1
            content = _completion(row, has_keys) if is_completion else _invocation(row, has_keys)
            yield f"{content}, :time {time}, :client {_text(row['client'])}"
    for _, fault in faults[place:]:
        yield fault


def order_of_ends(history: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Returns the order of all invocations and completions: twice the number of the row, plus 1 for a completion.

    Rows of a process are in the order of its operations. At one instant come first the invocations of processes that
    complete nothing then, next the processes that do both, one after another, and then the other completions. So two
    operations with equal times follow each other only where the order of a process leaves no choice. What never
    completed comes last.
    """
    rows = np.arange(history.num_rows, dtype=np.int64)
    process = history["process"].to_numpy()
    never = history["completed"].is_null().to_numpy(zero_copy_only=False)
    entry = np.concatenate([2 * rows, 2 * rows + 1])
    process = np.concatenate([process, process])
    time = np.concatenate([history["invoked"].to_numpy(), history["completed"].fill_null(-1).to_numpy()])
    is_completion = entry & 1
    group = np.unique(np.stack([time, process]), axis=1, return_inverse=True)[1].reshape(-1)
    completes, invokes = (np.bincount(group, weights=is_completion == kind) > 0 for kind in (1, 0))
    phase = np.where((completes & invokes)[group], 1, 2 * is_completion)
    is_last = np.concatenate([np.zeros(len(rows), bool), never])
    ends: np.ndarray[Any, np.dtype[np.int64]] = entry[np.lexsort((entry, process, phase, time, is_last))]
    return ends


def _invocation(row: dict[str, Any], has_keys: bool) -> str:
    return f":type :invoke, {_called(row)}, :value {_keyed(row, json.loads(row['argument'] or 'null'), has_keys)}"


def _completion(row: dict[str, Any], has_keys: bool) -> str:
    function, outcome = row["function"], row["outcome"]
    value = argument = json.loads(row["argument"] or "null")
    kind, told = {"ok": "ok", "fail": "fail", "unknown": "info"}[outcome], ""
    if outcome == "ok":
        result = json.loads(row["result"] or "null")
        if function not in REPEATED:
            value = argument if result is None and argument is not None else result
            is_shown = value == result
        else:
            is_shown = function in UNANSWERED or (function == "cas" and result is True)
        if function == "cas" and result is False:
            kind = "fail"
        told = "" if is_shown else f", :synod/result {_edn(result)}"
    return f":type :{kind}, {_called(row)}, :value {_keyed(row, value, has_keys)}{told}"


def _called(row: dict[str, Any]) -> str:
    return f":process {row['process']}, :f {_word(row['function'])}"


def _keyed(row: dict[str, Any], value: Any, has_keys: bool) -> str:
    if row["function"] == "txn" and isinstance(value, list):
        content = f"[{' '.join(map(_micro_operation, value))}]"
    else:
        content = _edn(value)
    return f"[{_edn(row['key'])} {content}]" if has_keys else content


def _micro_operation(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], str):
        return f"[{' '.join([_word(value[0]), *map(_edn, value[1:])])}]"
    return _edn(value)


def _faults(recorded: RecordedRun) -> list[tuple[int, str]]:
    """Returns the faults in the trace, if there is one: the time and the map of each."""
    faults = []
    for batch in recorded.events():
        struck = batch.filter(pc.equal(batch["kind"].cast(pa.string()), "fault"))
        for row in struck.to_pylist():
            value = _edn(json.loads(row["payload"] or b"null"))
            line = f":type :info, :process :nemesis, :f {_word(row['message'])}, :value {value}, :time {row['time']}"
            faults.append((row["time"], line))
    return faults


def _word(name: str) -> str:
    return f":{name}" if _KEYWORD.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    return f'"{text.translate(_ESCAPED)}"'


def _edn(value: Any) -> str:
    """Returns a JSON value in EDN; the keys of a map stay strings."""
    if value is None or isinstance(value, bool):
        return {None: "nil", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{' '.join(map(_edn, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_edn(key)} {_edn(item)}' for key, item in value.items())}}}"
    return repr(value)
