"""The operations of a lock, which the clients of every lock protocol perform, and every lock state machine.

| function | key | argument | result | |
| --- | --- | --- | --- | --- |
| `acquire` | the lock | session | `(token, lease)` | waits until the session holds the lock, and nobody else does |
| `acquire_shared` | the lock | session | `(token, lease)` | waits until only such sessions hold the lock |
| `try_acquire` | the lock | `(session, patience)` | `(token, lease)` | as `acquire`, but fails after `patience` ns; 0: at once |
| `try_acquire_shared` | the lock | `(session, patience)` | `(token, lease)` | |
| `release` | the lock | session | None | fails if the session does not hold the lock |
| `open_session` | None | None | `(session, lease)` | opens a session |
| `keep_alive` | None | session | lease | extends the lease of a session; fails if the session has ended |
| `extend` | the lock | session | lease | extends the lease of one lock |

A lock offers what it can: `acquire` and `release` at least. One with `open_session` has leases for *sessions*: what a
session holds or waits for ends with its lease. One with `extend` has a lease for each lock that is held. Others have no
leases. Without `open_session`, a session is a number that its client chooses, and no other client.

A *token* (fencing token) is a number that rises with each exclusive grant of a lock, and with each change between
shared and exclusive; sessions that share the lock have the same one. None: the lock has no tokens. A *lease* is the
time in nanoseconds, counted on its client's clock `now` from the beginning of the operation, for which it is valid.
None: it has no end of its own.
"""

from __future__ import annotations

from typing import ClassVar

from framework.core.client import Client

ACQUIRE = "acquire"
"""The function that takes a lock alone, and waits until it can."""
ACQUIRE_SHARED = "acquire_shared"
"""The function that takes a lock in shared mode, and waits until it can."""
TRY_ACQUIRE = "try_acquire"
"""As `ACQUIRE`, but fails after a given time."""
TRY_ACQUIRE_SHARED = "try_acquire_shared"
"""As `ACQUIRE_SHARED`, but fails after a given time."""
RELEASE = "release"
"""The function that gives a lock back."""
OPEN_SESSION = "open_session"
"""The function that opens a session, with a lease."""
KEEP_ALIVE = "keep_alive"
"""The function that extends the lease of a session."""
EXTEND = "extend"
"""The function that extends the lease of one lock."""

ACQUIRES = (ACQUIRE, ACQUIRE_SHARED, TRY_ACQUIRE, TRY_ACQUIRE_SHARED)
"""The functions that acquire a lock."""


class LockClient(Client):
    """Base of the clients of lock protocols, which perform the operations of `framework.locking.requests`."""

    gives_tokens: ClassVar[bool] = True
    """Whether a grant has a fencing token. Without one, no store can be fenced."""
