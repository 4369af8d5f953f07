"""The transport for clusters where only Ray's own ports are open: the mesh's frames, as arguments of actor calls.

All frames for one peer in one tick are one call. Calls from one worker to another keep their order.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import Any

from framework.engine.ray.transport.inbound import Traffic

UNANSWERED = 64
"""Number of calls to one peer that may be under way; further frames wait in the outbox, which is bounded."""


class ActorCalls:
    """Sends frames as calls of the peers' `receive`."""

    tick_nodes = sys.maxsize  # calls are slow, and few

    def __init__(self, loop: asyncio.AbstractEventLoop, traffic: Traffic) -> None:
        self.waiting: list[CallPeer] = []
        self.loop, self.traffic = loop, traffic
        self._peers: dict[int, CallPeer] = {}

    def peer(self, worker: int) -> CallPeer:
        """Returns the peer for a worker, which may not be known yet."""
        found = self._peers.get(worker)
        if found is None:
            found = self._peers[worker] = CallPeer(self)
        return found

    def learn(self, worker: int, name: str, handle: Any) -> None:
        """Sets the worker's present name and actor."""
        self.peer(worker).move(name, handle.receive.options(concurrency_group="frames"))

    def flush(self) -> None:
        """Sends all waiting frames, one call per peer."""
        waiting, self.waiting = self.waiting, []
        for peer in waiting:
            peer.waiting = False
            peer.flush()

    def resume(self) -> None:
        """Does nothing: Ray delivers calls in any case, so nothing had stopped."""

    def close(self) -> None:
        self._peers.clear()


class CallPeer:
    """The waiting frames for one peer, and the calls that it has not answered."""

    __slots__ = ("_calls", "_down", "_name", "_receive", "_unanswered", "chunks", "size", "waiting")

    def __init__(self, calls: ActorCalls) -> None:
        self.chunks: list[bytes] = []
        self.size = 0
        self.waiting = False
        self._calls = calls
        self._name = ""
        self._receive: Any = None
        self._down = True
        self._unanswered: deque[Any] = deque()

    def move(self, name: str, receive: Any) -> None:
        self._name, self._receive, self._down = name, receive, False
        self._unanswered.clear()

    def flush(self) -> None:
        if self._down:
            frames = b"".join(self.chunks)
            self.chunks.clear()
            self.size = 0
            self._calls.traffic.lost(self._name, frames)
        elif len(self._unanswered) < UNANSWERED and self.chunks:
            frames = b"".join(self.chunks)
            self.chunks.clear()
            self.size = 0
            answer = self._receive.remote(frames)
            self._unanswered.append(answer)
            answer.future().add_done_callback(lambda future: self._answered_in(answer, future))

    def _answered_in(self, answer: Any, future: Any) -> None:
        """Called in Ray's thread."""
        if not self._calls.loop.is_closed():
            self._calls.loop.call_soon_threadsafe(self._answered, answer, future.exception())

    def _answered(self, answer: Any, error: BaseException | None) -> None:
        if answer not in self._unanswered:  # from an earlier incarnation
            return
        self._unanswered.remove(answer)
        if error is not None:
            self._down = True
        if self.chunks:
            self.flush()
