"""One random stream per (seed, purpose, entity), so that removing one never shifts another."""

from __future__ import annotations

import hashlib
import random


def stream(seed: int, purpose: str, entity: str = "") -> random.Random:
    """Returns the random stream of `entity` for `purpose`: the same on every machine, whatever the hash seed."""
    assert "/" not in purpose, f"{purpose!r}: a purpose is one word"
    name = f"{seed}/{purpose}/{entity}".encode()
    return random.Random(int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little"))
