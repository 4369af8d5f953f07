"""What a planted bug is: a small subclass of a protocol's node, or of its client, that gets one thing wrong.

A module of mutants (`raft_mutants.py`) holds the subclasses, the tuple `MUTANTS`, and a hook that registers each as a
protocol of its own, so that a mutant is run, replayed and shrunk like any other protocol.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass

from framework import Client, Node, ProtocolSpec

_TOLD = re.compile(r"(?P<wrong>.+) \((?P<source>[^()]+)\)\.")


@dataclass(frozen=True)
class Mutant:
    """A planted bug: `node` is the class of the nodes, or of the clients.

    The first line of its docstring says what is wrong and, in brackets, which rule forbids it. `needs` are
    overrides without which the bug makes no difference, on top of the experiment that all mutants share.
    """

    node: type[Node]
    needs: tuple[str, ...] = ()

    def name(self, protocol: str) -> str:
        """`raft_forgets_its_vote`: the option of the config group `protocol`."""
        return protocol + re.sub(r"(?=[A-Z])", "_", self.node.__name__).lower()

    @property
    def wrong(self) -> str:
        """What it does that it must not."""
        return self._told["wrong"]

    @property
    def source(self) -> str:
        """Where the protocol's paper says so."""
        return self._told["source"]

    @property
    def _told(self) -> re.Match[str]:
        summary = (self.node.__doc__ or "").partition("\n\n")[0]
        told = _TOLD.fullmatch(" ".join(summary.split()))
        assert told is not None, f"{self.node.__name__}: write a docstring like 'Forgets its vote (Figure 2).'"
        return told


def mutated(protocol: ProtocolSpec, mutants: Iterable[Mutant]) -> list[ProtocolSpec]:
    """A protocol for each mutant: `protocol` in all but its node, or its client. Of the roles, a mutant takes those
    whose class it derives from."""
    return [
        dataclasses.replace(
            protocol,
            name=mutant.name(protocol.name),
            node=protocol.node if issubclass(mutant.node, Client) else mutant.node,
            client=mutant.node if issubclass(mutant.node, Client) else protocol.client,
            roles={
                role: (mutant.node if issubclass(mutant.node, node) else node, count)
                for role, (node, count) in protocol.roles.items()
            },
            summary=f"Broken on purpose: {mutant.wrong[0].lower()}{mutant.wrong[1:]} ({mutant.source}).",
        )
        for mutant in mutants
    ]
