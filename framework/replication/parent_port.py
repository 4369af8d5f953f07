"""The port between a replicated group and the node that mounts it.

Raft and Multi-Paxos have it: the parent calls `propose(command) -> tag` on its mount, and `bootstrap(snapshot, index)`
on a mount that starts from another group's state; the mount passes it the events below.

    @handles(Applied)
    def on_applied(self, mount: str, applied: Applied) -> None:
        if applied.tag == self.proposed: ...
"""

from __future__ import annotations

from collections.abc import Iterator

from framework.core.errors import PluginError
from framework.core.message import Event
from framework.replication.sessions import OPEN, PARENT, TICK, Command, Executed, ReplicatedMachine


class Applied(Event):
    """To the parent: a committed command has been executed on this node.

    `index` is its place in the log. `result` is None if the command waits; `Answered` follows. `tag` is what `propose`
    returned for the command on this node, None if the command came from elsewhere, or from before this node lost its
    leadership. After a restart, commands behind the last snapshot are executed and reported again, with their indexes.
    """

    index: int
    command: bytes
    result: bytes | None
    tag: int | None = None


class Answered(Event):
    """To the parent: the result of a proposed command that had to wait; `index` is its place in the log."""

    index: int
    result: bytes


class Led(Event):
    """To the parent: this node leads in `term`, and has executed all commands of earlier leaders.

    No two leaders have the same term, and a later leader has a higher one. (Multi-Paxos computes it from the round and
    the node of the ballot; a leader that raises its ballot reports again.)
    """

    term: int


class Deposed(Event):
    """To the parent: this node no longer leads. Commands that it proposed may still be executed, without a tag."""


class Restored(Event):
    """To the parent: a snapshot has replaced the state. The commands up to `index` are not reported one by one."""

    index: int


def check_begins_behind(index: int, machine: ReplicatedMachine) -> None:
    """Raises PluginError unless a group can start behind `index` with this state: new sessions are named by their
    index, which must not be that of an old one."""
    least = max(1, machine.latest_session)
    if index < least:
        what = f"starts a group from index {index}, and its state has sessions up to {least}"
        raise PluginError("bootstrap", what, f"Give the index that the snapshot was taken at: {least} or more.")


def events_of(index: int, command: Command, executed: Executed, tag: int | None) -> Iterator[Event]:
    """Yields the events for the parent about a command that has been executed at `index`."""
    is_new = command.sequence != OPEN and command.session != TICK and not executed.again
    if is_new and (executed.result is not None):
        yield Applied(index, command.body, None if executed.waits else executed.result, tag)
    for late in executed.answers:
        if late.caller.session == PARENT:
            yield Answered(late.caller.sequence, late.result)
