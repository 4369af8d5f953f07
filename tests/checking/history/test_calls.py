import msgspec
import pyarrow as pa
import pytest

from framework.checking.history.calls import Call, RecordedCalls, calls_from_table, check_calls
from framework.core.errors import ConfigError
from tests.checking.histories import history


def table(**changed: list) -> pa.Table:
    columns = {
        "operation": [0, 1],
        "client": pa.array(["c0", "c1"]).dictionary_encode(),
        "process": [0, 1],
        "function": pa.array(["cas", "read"]).dictionary_encode(),
        "key": pa.array(["x", None], pa.string()),
        "argument": ["[1, [2, 3]]", None],
        "result": pa.array([None, "[2, 3]"], pa.string()),
        "outcome": pa.array(["unknown", "ok"]).dictionary_encode(),
        "scheduled": [0, 0],
        "invoked": [10, 20],
        "completed": pa.array([None, 30], pa.int64()),
    }
    return pa.table(columns | changed)


def test_a_table_becomes_calls_with_tuples_for_lists() -> None:
    assert calls_from_table(table()) == [
        Call(0, "c0", 0, "cas", "x", (1, (2, 3)), None, "unknown", 10, None),
        Call(1, "c1", 1, "read", None, None, (2, 3), "ok", 20, 30),
    ]


def test_an_empty_table_has_no_calls() -> None:
    assert calls_from_table(table().slice(0, 0)) == []


def test_a_table_in_chunks_is_read_whole() -> None:
    assert len(calls_from_table(pa.concat_tables([table(), table()]))) == 4


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ConfigError, match="history: has no column 'invoked'"):
        calls_from_table(table().drop_columns(["invoked"]))


def test_a_value_that_is_not_json_is_shown_with_its_row() -> None:
    with pytest.raises(ConfigError, match=r"row 1: argument '\{oops' is not JSON"):
        calls_from_table(table(argument=["1", "{oops"]))


def test_recorded_calls_are_walked_through_any_number_of_times_and_not_kept() -> None:
    walks = 0

    def batches() -> list[pa.RecordBatch]:
        nonlocal walks
        walks += 1
        return pa.concat_tables([table()] * 3000).combine_chunks().to_batches(max_chunksize=5000)

    calls = RecordedCalls(batches)
    assert len(calls) == len(calls) == 6000
    assert [list(calls), list(calls)] == [calls_from_table(table()) * 3000] * 2
    assert walks == 3


def test_a_text_that_many_calls_hold_is_in_memory_once() -> None:
    first, second = (calls_from_table(table())[0] for _ in range(2))
    assert first.client is second.client and first.key is second.key and first.function is second.function


def test_a_bad_value_in_a_later_batch_is_shown_with_its_row_in_the_whole() -> None:
    calls = RecordedCalls([*table().to_batches(), *table(argument=["1", "{oops"]).to_batches()].copy)
    with pytest.raises(ConfigError, match=r"row 3: argument '\{oops' is not JSON"):
        list(calls)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"completed": 0, "invoked": 5}, "completes at 0 ns, before its invocation at 5 ns"),
        ({"completed": None}, "is ok but never completed"),
        ({"outcome": "maybe"}, "unknown outcome 'maybe'"),
    ],
)
def test_a_call_that_no_client_can_have_made_is_refused(change: dict, complaint: str) -> None:
    (call,) = history((0, "read", None, 1, 0, 1))
    with pytest.raises(ConfigError, match=complaint):
        check_calls([msgspec.structs.replace(call, **change)])
