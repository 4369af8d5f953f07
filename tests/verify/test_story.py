"""What a person is told about a history that no order explains."""

from framework.verify.linearizability import check_linearizable
from framework.verify.models import Counter, KeyValue, Model, Register
from framework.verify.verdict import Verdict

from .histories import history


def story(model: Model, *rows: tuple) -> tuple[str, ...]:
    result = check_linearizable(history(*rows), model)
    assert result.verdict is Verdict.INVALID
    assert result.reason == f"key 'x': {result.story[-1]}"
    return result.story


def test_a_stale_read_is_told_in_three_operations() -> None:
    noise = [(5, "write", 100 + n, None, n, n + 0.5) for n in range(20)]
    noise += [(6, "read", None, 100 + n, n + 0.6, n + 0.7) for n in range(20)]
    stale = [(0, "write", 1, None, 30, 31), (0, "write", 2, None, 32, 33), (1, "read", None, 1, 34, 35.25)]
    later = [(1, "read", None, 77, 40, 41), (1, "write", 77, None, 50, 51)]
    assert story(Register(), *noise, *stale, *later) == (
        "key 'x', a register that holds null at first (times in ms):",
        "30.000 to 31.000  process 0: write(1)",
        "32.000 to 33.000  process 0: write(2)",
        "34.000 to 35.250  process 1: read() saw 1",
        "process 1: read() saw 1, but process 0's write(2), which began after that value was put there,"
        " had ended at 33.000 ms, before that read began at 34.000 ms.",
    )


def test_a_value_from_nowhere() -> None:
    lines = story(KeyValue(), (0, "write", 1, None, 0, 1), (1, "read", None, 7, 2, 3), (0, "write", 7, None, 4, 5))
    assert lines[1:] == (
        "2.000 to 3.000  process 1: read() saw 7",
        "process 1: read() saw 7, but nothing had put that value there by 3.000 ms.",
    )


def test_the_initial_value_after_a_write() -> None:
    lines = story(Register(), (0, "write", 1, None, 0, 1), (1, "read", None, None, 2, 3))
    assert lines[-1] == (
        "process 1: read() saw null, but process 0's write(1) had ended at 1.000 ms,"
        " before that read began at 2.000 ms."
    )


def test_an_append_that_was_lost() -> None:
    rows = [(0, "append", "a", None, 0, None), (1, "append", "b", None, 2, 3), (1, "read", None, "a", 4, 5)]
    assert story(KeyValue(), *rows)[-1] == (
        "process 1: read() saw \"a\", but process 1's append(\"b\") had ended at 3.000 ms,"
        " before that read began at 4.000 ms."
    )


def test_two_orders_of_two_writes() -> None:
    lines = story(
        Register(),
        (0, "write", 1, None, 0, None),
        (1, "write", 2, None, 0, None),
        (2, "read", None, 1, 1, 2),
        (3, "read", None, 2, 3, 4),
        (4, "read", None, 1, 5, 6.5),
    )
    assert lines[1:] == (
        "0.000 to     ?  process 0: write(1), not answered",
        "0.000 to     ?  process 1: write(2), not answered",
        "1.000 to 2.000  process 2: read() saw 1",
        "3.000 to 4.000  process 3: read() saw 2",
        "5.000 to 6.500  process 4: read() saw 1",
        "process 4: read() saw 1, but no order of these operations shows that value there by 6.500 ms.",
    )


def test_two_winners_of_one_cas() -> None:
    lines = story(
        Register(),
        (0, "write", 0, None, 0, 1),
        (0, "read", None, 0, 1.5, 1.75),
        (1, "cas", (0, 1), True, 2, 5),
        (2, "cas", (0, 2), True, 2, 6),
    )
    assert lines[1:] == (
        "0.000 to 1.000  process 0: write(0)",
        "2.000 to 5.000  process 1: cas(0, 1) answered true",
        "2.000 to 6.000  process 2: cas(0, 2) answered true",
        "process 2: cas(0, 2) answered true, but no order of these operations allows that by 6.000 ms.",
    )


def test_a_long_story_leaves_out_its_middle_and_a_long_value_too() -> None:
    appends = [(0, "append", f"{n:03},", None, n, n + 0.5) for n in range(100)]
    seen = "".join(f"{n:03}," for n in range(99)) + "098,"
    lines = story(KeyValue(), *appends, (0, "read", None, seen, 200, 201))
    assert len(lines) < 30
    assert any(line.endswith(" more operations") for line in lines)
    assert 'saw "000,001,002,003,004,005…' in lines[-2] and "(402 characters)" in lines[-2]


def test_a_counter_that_lost_an_increment() -> None:
    lines = story(Counter(), (0, "increment", 1, None, 0, 1), (1, "increment", 2, None, 2, 3), (0, "read", None, 2, 4, 5))
    assert lines[-1] == "process 0: read() saw 2, but no order of these operations shows that value there by 5.000 ms."


def test_what_an_operation_found_is_disregarded_where_it_does_not_matter() -> None:
    rows = [(0, "write", 1, None, 0, 1), (0, "write", 5, None, 2, 3), (0, "cas", (5, 2), True, 4, 5)]
    lines = story(Register(), *rows, (1, "read", None, 1, 6, 7))
    assert lines[1:-1] == (
        "0.000 to 1.000  process 0: write(1)",
        "4.000 to 5.000  process 0: cas(5, 2) answered true (whatever it found)",
        "6.000 to 7.000  process 1: read() saw 1",
    )
