"""Two kinds of error: a mistake that a person can mend, and a broken promise of a protocol.

`ConfigError` and `PluginError` say where, what and what to do; the commands print them as one line and exit with 2.
`PluginFailed` says which plugin raised, and at which line of its file. `Violation` says which property broke, at which
nodes and at which event.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SynodError(Exception):
    """Base of every error that Synod raises on purpose."""


class _Mistake(SynodError):
    def __init__(self, where: str, what: str, fix: str = "") -> None:
        self.where, self.what, self.fix = where, what, fix
        super().__init__(where, what, fix)

    def __str__(self) -> str:
        sentence = f"{self.where}: {self.what}"
        return f"{sentence.rstrip('.')}. {self.fix}" if self.fix else sentence


class ConfigError(_Mistake):
    """What the user asked for cannot be done: `ConfigError("conf/network/wan.yaml", "unknown region 'x'", "Did you mean 'y'?")`."""


class PluginError(_Mistake):
    """A plugin or a protocol breaks the node model's rules: names the class or plugin, the rule, and the remedy."""


class PluginFailed(PluginError):
    """A plugin's own code raised, or returned what its contract rules out. No node is to blame: a run that meets one ends
    as unknown. `__cause__` is what the plugin raised, if it did."""


class Unrecordable(SynodError):
    """A value that neither trace nor history can hold. No node is to blame: a run that meets one ends as unknown."""


RAISED = (Exception, SystemExit)
"""What counts as an exception of a plugin's own. `sys.exit` in it ends neither the run nor the command."""


class Violation(SynodError):
    """An invariant was broken: the property, the nodes concerned, and what happened."""

    def __init__(self, name: str, nodes: Iterable[str], what: str) -> None:
        self.name, self.nodes, self.what = name, tuple(nodes), what
        super().__init__(name, self.nodes, what)

    def __str__(self) -> str:
        at = f" at {', '.join(self.nodes)}" if self.nodes else ""
        return f"{self.name} broken{at}: {self.what}"


WIDEST = 200
"""Characters of a value that a message shows."""


def abbreviated(text: str, widest: int = WIDEST) -> str:
    """`text`; of a longer one than `widest` characters the middle is left out."""
    if len(text) <= widest:
        return text
    half = widest // 2
    return f"{text[:half]}…{text[-half:]} ({len(text):,} characters)"


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """`"Did you mean 'raft'?"` for the nearest option, else the list of all of them; "" when there are none."""
    choices = sorted(options)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.6) if len(word) <= WIDEST else []
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"There are: {', '.join(choices)}." if choices else ""
