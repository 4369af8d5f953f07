"""Links that lose, duplicate, reorder and queue messages: the building blocks of configurable network models."""

from __future__ import annotations

import random
import re
from fractions import Fraction

from framework.core.distributions import Distribution
from framework.core.errors import RAISED, PluginError
from framework.core.message import Config
from framework.core.time import SECOND, Duration
from framework.core.tracebacks import check_initialized, plugin_gave, plugin_raised
from framework.core.value import Probability
from framework.network.model import ConstantLink, Link

_PREFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_UNITS = {"bit": 1, "b": 8}
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)(bit|b)(?:/s)?")


def parse_bandwidth(text: str) -> Fraction:
    """Returns the bits per second in `"100mbit"`, `"1gbit/s"` (bits) or `"12.5MB"` (bytes; 1 MB is 10**6).

    Raises ValueError for anything else.
    """
    form = _FORM.fullmatch(text.strip().lower())
    if form is None:
        raise ValueError(
            f"{text!r} is not a bandwidth: write a number and one of bit, kbit, mbit, gbit (bits a second) "
            "or B, kB, MB, GB (bytes a second), as in 100mbit"
        )
    bits = Fraction(form[1]) * _PREFIXES[form[2]] * _UNITS[form[3]]
    if not bits:
        raise ValueError(f"{text!r} lets nothing through: write a positive bandwidth, or null for no limit")
    return bits


class LinkConfig(Config):
    """The behavior of every link, apart from its delay. Links are FIFO, like TCP, except for reordered messages."""

    loss: Probability = 0.0
    """The probability that a message is lost."""
    duplicate: Probability = 0.0
    """The probability that a message arrives twice, the second time after an independent delay."""
    reorder: Probability = 0.0
    """The probability that a message is held back; it then neither waits for earlier messages nor delays later ones."""
    reorder_delay: Duration = Duration("5ms")
    """The maximum time that a reordered message is held back beyond its delay; uniformly distributed from 0."""
    bandwidth: str | None = None
    """`100mbit`, `12.5MB` (per second); null is no limit. Excess messages queue at the sender's end of the link."""

    def __post_init__(self) -> None:
        if self.bandwidth is not None:
            parse_bandwidth(self.bandwidth)


class ShapedLink(Link):
    """A link that implements a `LinkConfig`, with delays of one law. Lost messages use bandwidth too."""

    __slots__ = ("_bits", "_delay", "_duplicate", "_free", "_last", "_loss", "_reorder", "_reorder_delay", "_rng")

    def __init__(self, config: LinkConfig, delay: Distribution, rng: random.Random) -> None:
        super().__init__()
        self._delay, self._rng = delay, rng
        self._loss, self._duplicate, self._reorder = config.loss, config.duplicate, config.reorder
        self._reorder_delay = int(config.reorder_delay)
        bandwidth = None if config.bandwidth is None else parse_bandwidth(config.bandwidth)
        self._bits = bandwidth and (bandwidth.numerator, 8 * SECOND * bandwidth.denominator)
        self._free = 0  # when the sender's queue will be empty
        self._last = 0  # the latest arrival of a message that was not reordered

    def transmit(self, now: int, size: int) -> tuple[int, ...]:
        if self._bits:
            bits, scale = self._bits
            now = self._free = max(now, self._free) - size * scale // -bits
        rng = self._rng
        if self._loss and rng.random() < self._loss:
            return ()
        first = self._arrival(now, rng)
        if self._duplicate and rng.random() < self._duplicate:
            return (first, self._arrival(now, rng))
        return (first,)

    def _arrival(self, sent: int, rng: random.Random) -> int:
        at = sent + self._delay.sample(rng)
        if self._reorder and rng.random() < self._reorder:
            return at + (self._reorder_delay * rng.getrandbits(32) >> 32)
        if at < self._last:
            return self._last
        self._last = at
        return at


class _Checked(Distribution):
    """A law from a plugin. Raises PluginFailed for a sample that is no delay."""

    __slots__ = ("_law",)

    def __init__(self, law: Distribution) -> None:
        super().__init__(law.constant)
        self._law = law
        self._check("constant", law.constant, also=-1)

    def sample(self, rng: random.Random) -> int:
        law = self._law
        try:
            delay = law.sample(rng)
        except MemoryError:
            raise
        except RAISED as error:
            raise plugin_raised(type(law).__qualname__, "sample", error, type(law)) from error
        if type(delay) is not int or delay <= 0:
            self._check("sample", delay)
        return delay

    def _check(self, name: str, delay: object, also: int | None = None) -> None:
        law = type(self._law)
        if type(delay) is not int or not (delay > 0 or delay == also):
            wanted = "a delay in nanoseconds: a positive int" + (f", or {also} if it varies" if also else "")
            raise plugin_gave(law.__qualname__, name, delay, wanted, law.sample)


def make_link(config: LinkConfig, delay: Distribution, rng: random.Random) -> Link:
    """Makes the simplest link that implements `config`, with delays of the law `delay`.

    Raises PluginError unless `config` is a LinkConfig, and `delay` a Distribution, as `build()` of a law in a config
    returns it. The samples of a Distribution of your own are checked.
    """
    if not isinstance(config, LinkConfig):
        name = type(config).__qualname__
        what = f"config is a {name}, which is not a LinkConfig"
        own = isinstance(config, Config) and type(config) is not Config
        remedy = f"Write class {name}(LinkConfig)." if own else "Write class MyConfig(LinkConfig)."
        raise PluginError("make_link", what, remedy)
    if not isinstance(delay, Distribution):
        remedy = "Write make_link(config, config.latency.build(), rng)."
        raise PluginError("make_link", f"delay={delay!r:.80} is not a Distribution", remedy)
    check_initialized(delay, "constant")
    if not type(delay).__module__.startswith("framework."):
        delay = _Checked(delay)
    plain = not (config.loss or config.duplicate or config.reorder or config.bandwidth)
    return ConstantLink(delay.constant) if plain and delay.constant > 0 else ShapedLink(config, delay, rng)
