"""Two kinds of error: mistakes that the user can fix, and violations of a protocol's invariants.

`ConfigError` and `PluginError` say where, what and what to do; the commands print them as one line and exit with 2.
`PluginFailed` names the plugin that raised, and the line of its file. `Violation` names the broken property, the nodes
and the event.
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
    """Signals a request that cannot be carried out.

    `ConfigError("conf/network/wan.yaml", "unknown region 'x'", "Did you mean 'y'?")`
    """


class PluginError(_Mistake):
    """Signals a breach of the node model's rules. Names the class or plugin, the rule, and the remedy."""


class PluginFailed(PluginError):
    """Signals that a plugin's own code raised, or returned a value that its contract forbids.

    No node is to blame: the verdict of the run is unknown. `__cause__` is the plugin's exception, if it raised one.
    """


class Unrecordable(SynodError):
    """Signals a value that trace and history cannot hold. No node is to blame: the verdict of the run is unknown."""


RAISED = (Exception, SystemExit)
"""The types that count as exceptions of a plugin. A plugin's `sys.exit` ends neither the run nor the command."""


class Violation(SynodError):
    """Signals a broken invariant: the property, the nodes concerned, and what happened.

    With `operation`, its evidence tells how that operation went, instead of only the nodes' last events.
    Raises TypeError if `nodes` is a text, which would be read letter by letter, or holds anything but names.
    """

    def __init__(self, name: str, nodes: Iterable[str], what: str, *, operation: int | None = None) -> None:
        if isinstance(nodes, str):
            raise TypeError(f"the nodes of a Violation are {nodes!r}, which is no tuple: write ({nodes!r},)")
        nodes = tuple(nodes)
        if not all(isinstance(node, str) for node in nodes):
            raise TypeError(f"the nodes of a Violation are {nodes!r:.200}, which are not all names: write (step.node,)")
        self.name, self.nodes, self.what, self.operation = name, tuple(nodes), what, operation
        super().__init__(name, self.nodes, what)

    def __str__(self) -> str:
        at = f" at {', '.join(self.nodes)}" if self.nodes else ""
        return f"{self.name} broken{at}: {self.what}"


WIDEST = 200
"""The maximum length of a value in a message, in characters."""


def abbreviated(text: str, widest: int = WIDEST) -> str:
    """Returns `text`, without its middle if it is longer than `widest` characters."""
    if len(text) <= widest:
        return text
    half = widest // 2
    return f"{text[:half]}…{text[-half:]} ({len(text):,} characters)"


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Returns `"Did you mean 'raft'?"` with the nearest option, else the list of all options; "" if there are none."""
    choices = sorted(options)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.6) if len(word) <= WIDEST else []
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"There are: {', '.join(choices)}." if choices else ""
