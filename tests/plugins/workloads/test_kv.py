"""The key-value workload: the mix, the popularity of keys, and values that tell who wrote them."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.random_streams import stream
from framework.load.popularity import zipf_weights
from plugins.state_machines.kv import KeyValueStore
from plugins.workloads.kv import KeyValueConfig, KeyValueWorkload, register_workloads
from tests.written import written

Call = tuple[str, str | None, Any]
EVERYTHING = {"read": 3, "write": 2, "cas": 2, "append": 1, "delete": 1}


def calls(count: int, clients: tuple[str, ...] = ("c1",), **fields: Any) -> list[Call]:
    workload = KeyValueWorkload(written(KeyValueConfig, **fields))
    streams = [stream(1, "workload", client) for client in clients]
    return [workload.next(clients[n % len(clients)], 0, streams[n % len(clients)]) for n in range(count)]


def frequencies(calls: list[Call]) -> list[float]:
    counted = Counter(key for _, key, _ in calls)
    return [counted[f"k{rank}"] / len(calls) for rank in range(1, len(counted) + 1)]


def test_the_mix_is_the_one_asked_for() -> None:
    counted = Counter(function for function, _, _ in calls(9_000, mix=EVERYTHING))
    assert {name: round(count / 1_000) for name, count in counted.items()} == EVERYTHING


@given(st.fixed_dictionaries({name: st.integers(0, 2) for name in EVERYTHING}).filter(lambda mix: any(mix.values())))
def test_only_operations_with_a_weight_are_invoked(mix: dict[str, int]) -> None:
    asked = KeyValueWorkload(written(KeyValueConfig, mix=mix)).functions()
    assert set(asked) == {name for name, weight in mix.items() if weight}
    assert {function for function, _, _ in calls(50, mix=mix)} <= set(asked)


def test_keys_are_all_alike_unless_told_otherwise() -> None:
    assert frequencies(calls(20_000, keys=5)) == pytest.approx([0.2] * 5, abs=0.01)


def test_zipf_s_law_gives_each_rank_its_share() -> None:
    shares = frequencies(calls(20_000, keys=5, distribution="zipf", theta=1))
    harmonic = sum(1 / rank for rank in range(1, 6))
    assert shares == pytest.approx([1 / rank / harmonic for rank in range(1, 6)], abs=0.01)


def test_a_hotspot_takes_its_share_of_the_operations() -> None:
    shares = frequencies(calls(20_000, keys=10, distribution="hotspot", hot_keys=0.2, hot_operations=0.8))
    assert shares == pytest.approx([0.4] * 2 + [0.025] * 8, abs=0.01)


@pytest.mark.parametrize("distribution", ["uniform", "zipf", "hotspot"])
def test_a_single_key_is_always_that_key(distribution: str) -> None:
    assert {key for _, key, _ in calls(50, keys=1, distribution=distribution)} == {"k1"}


@given(st.integers(1, 300), st.floats(0, 4))
def test_zipf_weights_are_the_powers_of_their_ranks(count: int, theta: float) -> None:
    assert zipf_weights(count, theta) == pytest.approx([rank**-theta for rank in range(1, count + 1)], rel=1e-12)


def test_no_value_is_ever_written_twice() -> None:
    written_values: list[Any] = []
    for function, _, argument in calls(3_000, ("c1", "c2", "c11"), mix=EVERYTHING, value_size=8):
        if function in ("write", "append"):
            written_values.append(argument)
        elif function == "cas":
            written_values.append(argument[1])
    assert len(written_values) > 1_000
    assert len(set(written_values)) == len(written_values)


@pytest.mark.parametrize("size", [16, 256])
def test_values_have_the_size_asked_for(size: int) -> None:
    sizes = {len(argument) for function, _, argument in calls(200, value_size=size) if function == "write"}
    assert sizes == {size}


def test_compare_and_set_expects_what_the_client_last_wrote_so_that_some_succeed() -> None:
    store, outcomes = KeyValueStore(), Counter[bool]()
    for function, key, argument in calls(2_000, ("c1", "c2", "c3"), keys=3, mix={"read": 1, "write": 1, "cas": 2}):
        result = store.result(store.apply(store.command(function, key, argument)))
        if function == "cas":
            outcomes[result] += 1
    assert outcomes[True] > 0.2 * outcomes.total()
    assert outcomes[False] > 0.2 * outcomes.total()


def test_a_client_does_the_same_whatever_the_others_do() -> None:
    alone = calls(100, ("c2",), mix=EVERYTHING)
    beside = calls(200, ("c1", "c2"), mix=EVERYTHING)[1::2]
    assert alone == beside


@pytest.mark.parametrize("distribution", ["uniform", "zipf", "hotspot"])
def test_every_machine_invokes_the_same(distribution: str) -> None:
    pinned = {"uniform": "fd8de77cdb5fe47f", "zipf": "9882fb52f7707d14", "hotspot": "ae891011d995bfd1"}
    made = calls(2_000, ("c1", "c2"), keys=100, distribution=distribution, mix=EVERYTHING)
    assert blake2b(repr(made).encode(), digest_size=8).hexdigest() == pinned[distribution]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"keys": 0}, "`int` >= 1 - at `$.keys`"),
        ({"mix": {"read": 0, "write": 0}}, "every weight is 0"),
        ({"mix": {"reed": 1}}, "unknown field `reed`"),
        ({"mix": {"read": -1}}, "`int` >= 0 - at `$.mix.read`"),
        ({"distribution": "zipfian"}, "Invalid enum value 'zipfian'"),
        ({"hot_keys": 1.0}, "`float` < 1"),
        ({"value_size": -1}, "`int` >= 0"),
    ],
)
def test_a_bad_config_is_refused_with_what_is_wrong(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        written(KeyValueConfig, **fields)
    assert complaint in str(error.value)


def test_it_is_installed_under_its_name() -> None:
    [spec] = register_workloads()
    assert (spec.name, spec.workload, spec.config) == ("kv", KeyValueWorkload, KeyValueConfig)
