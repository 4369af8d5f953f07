"""Messages of the token ring. Each of them concerns one lock."""

from __future__ import annotations

from framework import Ballot, Message, NodeId


class Token(Message):
    """The token. `epoch` is that of its last regeneration, `turns` counts its grants since. `wanted` are the nodes that
    have asked for it."""

    key: str
    epoch: Ballot
    turns: int = 0
    wanted: tuple[NodeId, ...] = ()


class Wanted(Message):
    """`node` wants the token. The message goes round to the node that has it."""

    key: str
    node: NodeId


class Election(Message):
    """The node of `epoch` would replace the token, in this epoch. Whoever passes it on does not have the token, and
    will take none of an earlier epoch."""

    key: str
    epoch: Ballot


class Overruled(Message):
    """An election has ended: the sender knows of this later epoch."""

    key: str
    epoch: Ballot


class Heard(Message):
    """Acknowledges an election, where nodes that have crashed are passed by."""

    key: str
    epoch: Ballot
