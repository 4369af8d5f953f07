"""Scripts about quorums: who is one, and how far one has come. The format of `framework.testing.golden`, and commands:

    majority n1 n2 n3                            more than half of the nodes
    threshold 2 of n1 n2 n3                      so many of them
    weighted n1=3 n2=1 n3=1                      more than half of the votes
    one_of n1 n2 | n3 n4                         all of one group
    joint n1 n2 n3 | n3 n4 n5                    a majority of the old and one of the new (Raft, §6)
    configuration n1 n2 [old n1 n3] [learners n4]    Raft's, with the quorums that follow from it

Each of these begins anew; the rest asks what was begun last:

    reached [NODE …]                             whether they hold a quorum
    held [NODE=MARK …]                           the highest mark that a quorum has reached: a commit index
    smallest [NODE]                              a smallest quorum, with NODE in it if there is one
    quorums                                      every quorum that no other is part of
    members                                      of a configuration, everybody
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from framework import Joint, Majority, NodeId, OneOf, Quorums, Threshold, Weighted
from framework.core.errors import ConfigError, SynodError, did_you_mean
from framework.testing.golden import Block
from plugins.protocols.raft.messages import Configuration


class QuorumScript:
    """One script's quorums and its commands."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._quorums: Quorums | None = None
        self._configuration: Configuration | None = None
        self._commands: dict[str, Callable[[list[str]], str]] = {
            "majority": lambda words: self._begin(Majority(tuple(words))),
            "threshold": self._threshold,
            "weighted": lambda words: self._begin(Weighted(*_named(words))),
            "one_of": lambda words: self._begin(OneOf(_sides(words))),
            "joint": lambda words: self._begin(Joint(*(Majority(side) for side in _sides(words, 2)))),
            "configuration": self._configure,
            "reached": lambda words: "yes" if self.quorums.reached(words) else "no",
            "held": lambda words: str(self.quorums.held(dict(zip(*_named(words), strict=True)))),
            "smallest": lambda words: " ".join(self.quorums.smallest(*words)),
            "quorums": lambda words: " | ".join(map(" ".join, _minimal(self.quorums.quorums()))),
            "members": lambda words: " ".join(self.configuration.members),
        }

    def run(self, block: Block) -> str:
        """The answers, each behind its command; a mistake is one, too."""
        return "\n".join(f"{command}: {answer}" for command in block.commands if (answer := self._run(command)))

    def _run(self, command: str) -> str:
        verb, *words = command.split()
        try:
            if verb not in self._commands:
                raise ConfigError(self.name, f"no command {verb!r}", did_you_mean(verb, self._commands))
            return self._commands[verb](words)
        except (SynodError, ValueError) as error:
            return f"error: {error}"

    @property
    def quorums(self) -> Quorums:
        if self._quorums is None:
            raise ConfigError(self.name, "there are no quorums yet", "Start with: majority n1 n2 n3.")
        return self._quorums

    @property
    def configuration(self) -> Configuration:
        if self._configuration is None:
            raise ConfigError(self.name, "there is no configuration", "Start with: configuration n1 n2 n3.")
        return self._configuration

    def _begin(self, quorums: Quorums) -> str:
        self._quorums, self._configuration = quorums, None
        return ""

    def _threshold(self, words: list[str]) -> str:
        count, of, *nodes = words
        if of != "of":
            raise ConfigError("threshold", f"cannot read {' '.join(words)!r}", "Write threshold 2 of n1 n2 n3.")
        return self._begin(Threshold(tuple(nodes), int(count)))

    def _configure(self, words: list[str]) -> str:
        groups: dict[str, list[NodeId]] = {"voters": [], "old": [], "learners": []}
        group = "voters"
        for word in words:
            if word in groups:
                group = word
            else:
                groups[group].append(word)
        configuration = Configuration(**{name: tuple(nodes) for name, nodes in groups.items()})
        self._begin(configuration.quorums)
        self._configuration = configuration
        return ""


def _named(words: list[str]) -> tuple[tuple[NodeId, ...], tuple[int, ...]]:
    """The names and the numbers of `n1=3 n2=1`."""
    pairs = [word.partition("=") for word in words]
    return tuple(name for name, _, _ in pairs), tuple(int(number) for _, _, number in pairs)


def _sides(words: list[str], count: int | None = None) -> tuple[tuple[NodeId, ...], ...]:
    sides = tuple(tuple(side.split()) for side in " ".join(words).split("|"))
    if count not in (None, len(sides)):
        raise ConfigError(" ".join(words), f"{len(sides)} sides, and not {count}", "Part them by |.")
    return sides


def _minimal(quorums: Iterable[tuple[NodeId, ...]]) -> list[tuple[NodeId, ...]]:
    found: list[tuple[NodeId, ...]] = []
    for quorum in quorums:  # smaller ones come first
        if not any(set(each) <= set(quorum) for each in found):
            found.append(quorum)
    return found
