"""The axes of a sweep: one for each key that has several values."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Quote, QuotedString, RangeSweep, Transformer
from hydra.core.override_parser.types import Override as HydraOverride
from hydra.errors import HydraException

from framework.config.overrides import COMMAND_LINE
from framework.core.command_line import command_line
from framework.core.errors import ConfigError
from framework.core.time import UNITS, format_duration

AxisValue: TypeAlias = Any
"""Plain data: a scalar, a list or a mapping."""

MOST_VALUES = 10_000_000
"""The maximum number of values of one axis."""


@dataclass(frozen=True)
class Choices:
    """An axis with a finite number of values."""

    key: str
    values: Sequence[AxisValue]
    sign: str = ""
    """`+` if the override adds to a list of choices."""

    def at(self, share: float) -> AxisValue:
        """Returns the value at a share of the axis, 0 <= share < 1."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]


@dataclass(frozen=True)
class Interval:
    """An axis of all numbers from `start` up to `end`; of whole numbers, including `end`, if both are whole.

    With `unit` (`ms`, …) the values are durations. With `is_log`, equal ratios instead of equal differences have equal
    shares of the axis.
    """

    key: str
    start: float
    end: float
    sign: str = ""
    unit: str = ""
    is_log: bool = False

    def at(self, share: float) -> AxisValue:
        """Returns the value at a share of the axis, 0 <= share < 1."""
        whole = isinstance(self.start, int) and isinstance(self.end, int) and not self.unit
        end = self.end + 1 if whole else self.end
        value = self.start * (end / self.start) ** share if self.is_log else self.start + share * (end - self.start)
        if whole:
            return min(int(value), self.end)
        return _with_unit(value, self.unit) if self.unit else value


Axis: TypeAlias = Choices | Interval


def axis_of(text: str, parsed: HydraOverride, options: Callable[[str], Iterable[str]], seed: int) -> Axis:
    """Returns the axis of a sweeping override.

    `options` lists the names of a config group, for `glob(…)`; `seed` decides the order of `shuffle(…)`. Raises
    ConfigError for an axis without values, or with a duplicate value.
    """
    key, sign = parsed.key_or_group, "+" if parsed.is_add() else ""
    if parsed.is_delete():
        raise ConfigError(COMMAND_LINE, f"{text}: a deletion takes one value", f"Write ~{key}.")
    written = parsed.value()
    unit, is_log = _tags(text, getattr(written, "tags", set()))
    if isinstance(written, IntervalSweep):
        return _interval(text, Interval(key, written.start or 0, written.end or 0, sign, unit, is_log))
    if is_log:
        raise ConfigError(COMMAND_LINE, f"{text}: only intervals are drawn by ratio", "Leave the tag log out.")
    values = _values(text, parsed, options)
    if getattr(written, "shuffle", False):
        values = list(values)
        random.Random(f"{seed}/{key}").shuffle(values)
    if not values:
        raise ConfigError(COMMAND_LINE, f"{text}: has no values", _fix_of_empty(written))
    if unit:
        values = [_with_unit(_number(text, value), unit) for value in values]
    if not isinstance(values, range):
        _check_values(text, values)
    return Choices(key, values, sign)


def _fix_of_empty(written: object) -> str:
    if isinstance(written, RangeSweep):
        return "The end of a range is excluded: range(0,10)."
    if isinstance(written, Glob):
        return f"No option has such a name: {command_line('framework.run', '--help')} lists them."
    return ""


def _tags(text: str, tags: Iterable[str]) -> tuple[str, bool]:
    """Returns the unit, and whether draws are by ratio. Raises ConfigError for other tags."""
    units = [tag for tag in sorted(tags) if tag in UNITS]
    unknown = next((tag for tag in sorted(tags) if tag not in (*UNITS, "log")), None)
    if unknown is not None or len(units) > 1:
        what = f"unknown tag {unknown!r}" if unknown is not None else f"has several units: {', '.join(units)}"
        raise ConfigError(COMMAND_LINE, f"{text}: {what}", f"Tags are log and the units {', '.join(UNITS)}.")
    return (units[0] if units else ""), "log" in tags


def _with_unit(value: float, unit: str) -> str:
    return format_duration(round(value * UNITS[unit]))


def _number(text: str, value: AxisValue) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ConfigError(COMMAND_LINE, f"{text}: {canonical(value)} cannot have a unit", "Write numbers from 0.")
    return value


def override_text(axis: Axis, value: AxisValue) -> str:
    """Returns the override for the command line of a run: `nodes=3`."""
    return f"{axis.sign}{axis.key}={Transformer.str(_quoted(value))}"


def canonical(value: AxisValue) -> str:
    """Returns a value as canonical text, the same for equal values: JSON with sorted keys."""
    return msgspec.json.encode(value, order="sorted").decode()


def _interval(text: str, axis: Interval) -> Interval:
    """Returns the axis. Raises ConfigError if its bounds do not allow draws."""
    if not axis.start < axis.end:
        raise ConfigError(COMMAND_LINE, f"{text}: its end is not above its start", "Write interval(LOW,HIGH).")
    if axis.is_log and axis.start <= 0:
        raise ConfigError(COMMAND_LINE, f"{text}: draws by ratio need numbers above 0", "Leave the tag log out.")
    if axis.unit:
        _number(text, axis.start)
    return axis


def _values(text: str, parsed: HydraOverride, options: Callable[[str], Iterable[str]]) -> Sequence[AxisValue]:
    written: Any = parsed.value()
    if isinstance(written, Glob):
        return written.filter(list(options(parsed.key_or_group)))
    try:
        if isinstance(written, RangeSweep):
            return _range(text, written)
        return [_plain(value) for value in (written.list if written.shuffle else parsed.sweep_iterator())]
    except (HydraException, ValueError) as error:
        raise ConfigError(COMMAND_LINE, f"{text}: {_first_line(error)}", "Write range(START,STOP,STEP).") from error


def _range(text: str, written: RangeSweep) -> Sequence[AxisValue]:
    numbers = written.range()
    if isinstance(numbers, range):
        values: Sequence[AxisValue] = numbers[: MOST_VALUES + 1]
        few = len(values) <= MOST_VALUES
    else:
        few = not numbers.step or (float(numbers.stop) - float(numbers.start)) / float(numbers.step) <= MOST_VALUES
        values = list(numbers) if few else []
    if not few:
        raise ConfigError(COMMAND_LINE, f"{text}: has too many values", f"Ask for {MOST_VALUES:,} or fewer.")
    return values


def _plain(value: Any) -> AxisValue:
    """Returns a parsed value without its quotes."""
    return _each(value, lambda scalar: scalar.text if isinstance(scalar, QuotedString) else scalar)


def _quoted(value: AxisValue) -> Any:
    """Returns the value with quotes around text that Hydra's parser would take for another type."""
    return _each(
        value,
        lambda scalar: (
            QuotedString(scalar, Quote.single) if isinstance(scalar, str) and not _is_plain_word(scalar) else scalar
        ),
    )


def _each(value: Any, of: Callable[[Any], Any]) -> Any:
    """Returns a value with `of` applied to every scalar in its lists and mappings."""
    if isinstance(value, list):
        return [_each(inner, of) for inner in value]
    if isinstance(value, dict):
        return {of(key): _each(inner, of) for key, inner in value.items()}
    return of(value)


@lru_cache(maxsize=1_024)  # called for every point of a sweep, and parsing is slow
def _is_plain_word(text: str) -> bool:
    """Returns whether Hydra parses the unquoted text as the same text."""
    try:
        parsed = OverridesParser.create().parse_override(f"key={text}")
    except HydraException:
        return False
    return not parsed.is_sweep_override() and isinstance(parsed.value(), str) and parsed.value() == text


def _check_values(text: str, values: Sequence[AxisValue]) -> None:
    """Raises ConfigError for infinity and NaN, and for duplicate values."""
    seen: set[str] = set()
    for value in values:
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(COMMAND_LINE, f"{text}: {value} is not a number", "Leave it out.")
        spelled = canonical(value)
        if spelled in seen:
            raise ConfigError(COMMAND_LINE, f"{text}: {spelled} is listed twice", "Write each value once.")
        seen.add(spelled)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
