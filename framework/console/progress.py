"""The progress of a run: a live line on a terminal, one plain line a second elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from framework.console.formatting import milliseconds, rate
from framework.core.time import format_duration
from framework.engine.tally import Tally

if TYPE_CHECKING:
    from rich.live import Live

_LIVE_EVERY_S = 0.2
_PLAIN_EVERY_S = 1.0
_RATE_OVER_S = 1.0
_BAR_COLUMNS = 12
_BAR_FROM = 100  # columns of the terminal; in a narrower one the words need the room
_GAP = "  "


class Screen(Protocol):
    """Shows the progress of a run. Writes to stderr; stdout is for the result."""

    def __enter__(self) -> Screen: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, now: int, tally: Tally) -> None:
        """Shows that the run has reached `now` (nanoseconds), or that its engine is in a stage before or after it."""

    def checking(self) -> None:
        """Shows that the run has ended and is being checked."""


def screen(title: str, duration: int, *, quiet: bool) -> Screen:
    """Returns a screen: silent if `quiet`, live on a terminal, plain lines otherwise. `duration` is in nanoseconds."""
    if quiet:
        return Silent()
    return LiveLine(title, duration) if sys.stderr.isatty() else PlainLines(title, duration)


class Silent:
    """A screen that shows nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def show(self, now: int, tally: Tally) -> None:
        return

    def checking(self) -> None:
        return


class LinePart(NamedTuple):
    """A part of the line. Where room is short, the parts of the highest rank are left out first."""

    text: str
    rank: int


class Account:
    """Formats a tally. The rate is that of the last second, so that a stall shows at once."""

    def __init__(self, duration: int) -> None:
        self._length = format_duration(duration)
        self._seen: deque[tuple[int, int]] = deque([(0, 0)])

    def words(self, now: int, tally: Tally, room: int | None = None) -> str:
        """Returns the line, or the parts that fit into `room` columns: time, leader and faults are left out last."""
        operations = tally.ok + tally.fail + tally.unknown
        faults = sum(tally.faults.values())
        parts = [
            LinePart(f"{now / 1e9:.1f}s/{self._length}", 0),
            LinePart(f"{operations:,} ops", 4),
            LinePart(rate(self._rate(now, tally.ok)), 3),
            LinePart(f"p50 {milliseconds(_ms(tally.latencies.quantile(0.5)))}", 6),
            LinePart(f"p99 {milliseconds(_ms(tally.latencies.quantile(0.99)))}", 5),
            *([LinePart(f"leader {' '.join(tally.leaders)}", 1)] if tally.leaders else []),
            *([LinePart(f"{faults} faults" if faults > 1 else "1 fault", 2)] if faults else []),
        ]
        while room is not None and len(parts) > 1 and len(_line(parts)) > room:
            parts.remove(max(parts, key=lambda part: part.rank))
        return _line(parts)

    def _rate(self, now: int, done: int) -> float:
        seen = self._seen
        while len(seen) > 1 and now - seen[1][0] >= _RATE_OVER_S * 1e9:
            seen.popleft()
        since, before = seen[0]
        seen.append((now, done))
        return (done - before) * 1e9 / (now - since) if now > since else 0.0


class PlainLines(Silent):
    """Prints one line a second, for logs, and one for each stage."""

    def __init__(self, title: str, duration: int) -> None:
        self._title = title
        self._account = Account(duration)
        self._last = time.monotonic()

    def show(self, now: int, tally: Tally) -> None:
        if tally.stage or time.monotonic() - self._last >= _PLAIN_EVERY_S:
            self._last = time.monotonic()
            words = tally.stage or self._account.words(now, tally)
            print(f"{self._title}{_GAP}{words}", file=sys.stderr, flush=True)


class LiveLine(Silent):
    """One line that is redrawn in place, and erased when the run has ended."""

    def __init__(self, title: str, duration: int) -> None:
        self._duration = duration
        self._account = Account(duration)
        self._last = 0.0
        self._line = Redrawn(title)

    def __enter__(self) -> LiveLine:
        self._line.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.__exit__(kind, error, trace)

    def show(self, now: int, tally: Tally) -> None:
        if tally.stage:
            self._draw(now, tally.stage)
        elif time.monotonic() - self._last >= _LIVE_EVERY_S:
            self._last = time.monotonic()
            self._draw(now, self._account.words(now, tally, self._line.room))

    def checking(self) -> None:
        self._draw(self._duration, "checking what the clients saw")

    def _draw(self, now: int, words: str) -> None:
        self._line.draw(now / self._duration if self._duration else 1.0, words)


class Redrawn:
    """A line on the terminal's stderr, with title, bar and words, which is erased on exit."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._live: Live | None = None

    def __enter__(self) -> Redrawn:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def room(self) -> int:
        """The columns left beside the bar and the title, which takes half of the line at most."""
        width = self._width
        title = min(len(self._title), width // 2)
        return width - title - 1 - (_BAR_COLUMNS + 1 if width >= _BAR_FROM else 0)

    @property
    def _width(self) -> int:
        return 0 if self._live is None else self._live.console.width

    def draw(self, share: float, words: str) -> None:
        """Redraws the line. `share` is the share of the work that is done, from 0 to 1."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        title = Text(self._title, style="bold")
        title.truncate(self._width // 2, overflow="ellipsis")
        line = Table.grid(padding=(0, 1))
        bar = (
            [ProgressBar(total=1.0, completed=min(1.0, share), width=_BAR_COLUMNS)] if self._width >= _BAR_FROM else []
        )
        line.add_row(title, *bar, Text(words, no_wrap=True, overflow="ellipsis"))
        if self._live is not None:
            self._live.update(line, refresh=True)

    def print(self, text: str) -> None:
        """Prints text above the line."""
        if self._live is not None:
            self._live.console.print(text, highlight=False, markup=False, soft_wrap=True)


def _line(parts: list[LinePart]) -> str:
    return _GAP.join(part.text for part in parts)


def _ms(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e6
