"""The proposals that an acceptor has accepted, slot by slot, and the mark that acknowledges them.

A slot may be accepted before lower ones:

    slot     5 6 7 8 9 10 11 12 13
    ballot   2 2 2 1 1     2  2
             |-------|     |---|     `log` ends at the first gap; `beyond` holds the slots past it
                 ^                   the mark: all slots up to here are chosen, or accepted in the promised ballot, 2

The mark acknowledges all these slots with one number. It is not durable: it follows from the log, and grows again after
a restart.
"""

from __future__ import annotations

from dataclasses import dataclass

from framework import Ballot, DurableLog, DurableMap
from plugins.protocols.multipaxos.messages import Proposal, Pvalue, Value


@dataclass(slots=True)
class AcceptedSlots:
    """The accepted proposals. The node owns `log` and `beyond`, and declares them durable."""

    log: DurableLog[Proposal]
    beyond: DurableMap[int, Proposal]
    mark: int = 0
    """All slots up to here are chosen, or accepted in the promised ballot."""

    @property
    def compacted(self) -> int:
        """Returns the last compacted slot: all slots up to it are chosen, and no longer held."""
        return self.log.first - 1

    def proposal(self, slot: int) -> Proposal | None:
        """Returns the proposal accepted in the slot; None if there is none, or if it is compacted."""
        log = self.log
        return log[slot] if log.first <= slot <= log.last else self.beyond.get(slot)

    def has_accepted(self, slot: int, ballot: Ballot) -> bool:
        """Returns whether a value is accepted in the slot in `ballot`."""
        proposal = self.proposal(slot)
        return proposal is not None and proposal.ballot == ballot

    def accept(self, slot: int, values: tuple[Value, ...], ballot: Ballot) -> None:
        """Accepts `values` from `slot` on in `ballot`, the promised ballot. Writes only new values."""
        log = self.log
        proposals = [Proposal(ballot, value) for value in values]
        if slot == self.mark + 1 == log.last + 1 and not self.beyond:  # the common case: the next slots
            log.extend(proposals)
            self.mark = log.last
        elif slot <= log.last + 1:
            known = max(self.mark + 1 - slot, 0)
            log.replace(slot + known, proposals[known:])
            self.close_gap()
            self.advance_mark(self.mark, ballot)
        else:
            for at, proposal in enumerate(proposals, slot):
                if not self.has_accepted(at, ballot):
                    self.beyond[at] = proposal

    def close_gap(self) -> None:
        """Moves slots from `beyond` to the log where the log has reached them."""
        log, beyond = self.log, self.beyond
        for slot in sorted(beyond):
            if slot > log.last + 1:
                return
            if slot == log.last + 1:
                log.append(beyond[slot])
            del beyond[slot]

    def advance_mark(self, chosen: int, ballot: Ballot) -> None:
        """Advances the mark to `chosen`, up to which all slots are chosen, and past slots accepted in `ballot`."""
        mark = max(self.mark, chosen)
        while self.has_accepted(mark + 1, ballot):
            mark += 1
        self.mark = mark

    def compact(self, upto: int) -> None:
        """Drops the slots up to `upto`, which are chosen."""
        self.log.compact(upto)
        self.close_gap()

    def missing(self, last: int, ballot: Ballot) -> tuple[int, int]:
        """Returns the first and last slot of the run after the mark, up to `last`, that is not accepted in `ballot`."""
        first = end = self.mark + 1
        while end < last and not self.has_accepted(end + 1, ballot):
            end += 1
        return first, end

    def report(self, slot: int, max_slots: int, max_bytes: int) -> tuple[tuple[Pvalue, ...], int]:
        """Returns the accepted proposals from `slot` on that fit, and the slot where the rest begins (0: no rest)."""
        reported: list[Pvalue] = []
        size = 0
        for at in range(slot, max(self.beyond, default=self.log.last) + 1):
            proposal = self.proposal(at)
            if proposal is None:
                continue
            size += size_of(proposal.value)
            if reported and (len(reported) == max_slots or size > max_bytes):
                return tuple(reported), at
            reported.append(Pvalue(at, proposal.ballot, proposal.value))
        return tuple(reported), 0


def size_of(value: Value) -> int:
    """Returns the size of a command in bytes; 0 for a no-op."""
    return 0 if value is None else len(value.body)


def fitting(values: tuple[Value, ...], max_slots: int, max_bytes: int) -> int:
    """Returns how many of `values` fit in one message; one always does."""
    size = 0
    for count, value in enumerate(values[:max_slots]):
        size += size_of(value)
        if count and size > max_bytes:
            return count
    return min(len(values), max_slots)
