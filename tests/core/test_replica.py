"""A replica that is described wrongly is an error at once, and says what to write."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.errors import PluginError
from framework.core.replica import Replica, ReplicaState, replica_state


@pytest.mark.parametrize(
    ("applied", "snapshot", "says"),
    [
        (3, b"state", "Replica: snapshot is bytes, and not a function that returns bytes. Write Replica(applied, "),
        (3, None, "snapshot is NoneType"),
        ("3", lambda: b"", "applied='3' is not an integer. Give the index of the last command applied"),
    ],
)
def test_a_replica_takes_an_index_and_a_function(applied: Any, snapshot: Any, says: str) -> None:
    with pytest.raises(PluginError) as refused:
        Replica(applied, snapshot)
    assert says in str(refused.value)


def test_its_state_is_asked_for_only_as_a_whole() -> None:
    def never() -> bytes:
        raise AssertionError("the state was asked for")

    assert replica_state(Replica(3, never), whole=False) == ReplicaState(3)
    whole = replica_state(Replica(3, lambda: b"state"), whole=True)
    assert whole is not None and (whole.applied, whole.state, len(whole.digest)) == (3, b"state", 16)
