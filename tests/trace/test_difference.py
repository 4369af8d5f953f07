"""Where two tables part."""

from __future__ import annotations

import pyarrow as pa

from framework.trace.difference import first_difference, until


def table(*rows: tuple[int, str | None, bytes | None]) -> pa.Table:
    times, names, payloads = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "time": pa.array(times, pa.int64()),
            "node": pa.array(names, pa.string()).dictionary_encode(),
            "payload": pa.array(payloads, pa.binary()),
        }
    )


ROWS = ((1, "n1", b"a"), (2, None, None), (3, "n2", b"c"))


def test_the_same_rows_have_no_difference_however_they_are_chunked_and_encoded() -> None:
    chunked = pa.concat_tables([table(*ROWS[:1]), table(*ROWS[1:])])

    assert first_difference(table(*ROWS), chunked) is None
    assert first_difference(table(), table()) is None


def test_the_first_row_that_differs_is_named_with_its_columns() -> None:
    other = table(ROWS[0], (2, None, b""), (9, "n2", b"c"))

    found = first_difference(table(*ROWS), other)

    assert found is not None
    assert (found.number, found.columns) == (1, ("payload",))
    assert found.first is not None and found.first["payload"] is None


def test_a_table_that_ends_early_differs_where_it_ends() -> None:
    found = first_difference(table(*ROWS[:2]), table(*ROWS))

    assert found is not None
    assert (found.number, found.first, found.columns) == (2, None, ())
    assert found.second == {"time": 3, "node": "n2", "payload": b"c"}


def test_until_keeps_what_happens_at_that_time() -> None:
    assert until(table(*ROWS), 2)["time"].to_pylist() == [1, 2]
