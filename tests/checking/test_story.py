"""What a person is told about a history that no order explains."""

from framework.checking.linearizability.checker import check_linearizable
from framework.checking.models.containers import Queue, Set, Stack
from framework.checking.models.model import Model
from framework.checking.models.registers import Counter, KeyValue, Mutex, Register
from framework.checking.verdict import Verdict
from tests.checking.histories import history


def story(model: Model, *rows: tuple) -> tuple[str, ...]:
    result = check_linearizable(history(*rows), model)
    assert result.verdict is Verdict.INVALID
    assert result.reason == f"key 'x': {result.story[-1]}"
    return result.story


def shown(line: str) -> str:
    """Who did what, without when and its number."""
    who, _, rest = line.split("  ")[-1].partition(", operation ")
    return f"{who}: {rest.partition(': ')[2]}"


def test_a_stale_read_is_told_in_three_operations() -> None:
    noise = [(5, "write", 100 + n, None, n, n + 0.5) for n in range(20)]
    noise += [(6, "read", None, 100 + n, n + 0.6, n + 0.7) for n in range(20)]
    stale = [(0, "write", 1, None, 30, 31), (0, "write", 2, None, 32, 33), (1, "read", None, 1, 34, 35.25)]
    later = [(1, "read", None, 77, 40, 41), (1, "write", 77, None, 50, 51)]
    assert story(Register(), *noise, *stale, *later) == (
        "key 'x', a register that holds null at first (times in ms):",
        "30.000 to 31.000  c0, operation 40: write(1)",
        "32.000 to 33.000  c0, operation 41: write(2)",
        "34.000 to 35.250  c1, operation 42: read() saw 1",
        "c1, operation 42: read() saw 1, but c0's write(2) (operation 41), which began after that value was put there,"
        " had ended at 33.000 ms, before that read began at 34.000 ms.",
    )


def test_a_value_from_nowhere() -> None:
    lines = story(KeyValue(), (0, "write", 1, None, 0, 1), (1, "read", None, 7, 2, 3), (0, "write", 7, None, 4, 5))
    assert lines[1:] == (
        "2.000 to 3.000  c1, operation 1: read() saw 7",
        "c1, operation 1: read() saw 7, but nothing had put that value there by 3.000 ms.",
    )


def test_the_initial_value_after_a_write() -> None:
    lines = story(Register(), (0, "write", 1, None, 0, 1), (1, "read", None, None, 2, 3))
    assert lines[-1] == (
        "c1, operation 1: read() saw null, but c0's write(1) (operation 0) had ended at 1.000 ms,"
        " before that read began at 2.000 ms."
    )


def test_an_append_that_was_lost() -> None:
    rows = [(0, "append", "a", None, 0, None), (1, "append", "b", None, 2, 3), (1, "read", None, "a", 4, 5)]
    assert story(KeyValue(), *rows)[-1] == (
        'c1, operation 2: read() saw "a", but c1\'s append("b") (operation 1) had ended at 3.000 ms,'
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
        "0.000 to     ?  c0, operation 0: write(1), not answered",
        "0.000 to     ?  c1, operation 1: write(2), not answered",
        "1.000 to 2.000  c2, operation 2: read() saw 1",
        "3.000 to 4.000  c3, operation 3: read() saw 2",
        "5.000 to 6.500  c4, operation 4: read() saw 1",
        "c4, operation 4: read() saw 1, but no order of these operations shows that value there by 6.500 ms.",
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
        "0.000 to 1.000  c0, operation 0: write(0)",
        "2.000 to 5.000  c1, operation 2: cas(0, 1) answered true",
        "2.000 to 6.000  c2, operation 3: cas(0, 2) answered true",
        "c2, operation 3: cas(0, 2) answered true, but no order of these operations allows that by 6.000 ms.",
    )


def test_a_long_story_leaves_out_its_middle_and_a_long_value_too() -> None:
    appends = [(0, "append", f"{n:03},", None, n, n + 0.5) for n in range(100)]
    seen = "".join(f"{n:03}," for n in range(99)) + "098,"
    lines = story(KeyValue(), *appends, (0, "read", None, seen, 200, 201))
    assert len(lines) < 30
    assert any(line.endswith(" more operations") for line in lines)
    assert 'saw "000,001,002,003,004,005…' in lines[-2] and "(402 characters)" in lines[-2]


def test_a_counter_that_lost_an_increment() -> None:
    lines = story(
        Counter(), (0, "increment", 1, None, 0, 1), (1, "increment", 2, None, 2, 3), (0, "read", None, 2, 4, 5)
    )
    assert (
        lines[-1]
        == "c0, operation 2: read() saw 2, but no order of these operations shows that value there by 5.000 ms."
    )


def test_what_an_operation_found_is_disregarded_where_it_does_not_matter() -> None:
    rows = [(0, "write", 1, None, 0, 1), (0, "write", 5, None, 2, 3), (0, "cas", (5, 2), True, 4, 5)]
    lines = story(Register(), *rows, (1, "read", None, 1, 6, 7))
    assert lines[1:-1] == (
        "0.000 to 1.000  c0, operation 0: write(1)",
        "4.000 to 5.000  c0, operation 2: cas(5, 2) answered true (whatever it found)",
        "6.000 to 7.000  c1, operation 3: read() saw 1",
    )


def noise(put: str, take: str) -> list[tuple]:
    """Twenty values put and taken, one after the other."""
    puts = [(5, put, n, None, n, n + 0.5) for n in range(20)]
    return puts + [(6, take, None, n, n + 0.6, n + 0.7) for n in range(20)]


def test_a_queue_that_is_not_first_in_first_out() -> None:
    lines = story(
        Queue(),
        *noise("enqueue", "dequeue"),
        (0, "enqueue", "a", None, 30, 31),
        (0, "enqueue", "b", None, 32, 33),
        (1, "dequeue", None, "b", 34, 35),
        (2, "dequeue", None, "a", 36, 37),
    )
    assert lines == (
        "key 'x', a queue that holds [] at first (times in ms):",
        '30.000 to 31.000  c0, operation 40: enqueue("a")',
        '32.000 to 33.000  c0, operation 41: enqueue("b")',
        '34.000 to 35.000  c1, operation 42: dequeue() answered "b"',
        'c1, operation 42: dequeue() answered "b", but no order of these operations allows that by 35.000 ms.',
    )


def test_a_queue_that_hands_a_value_out_twice_or_loses_it() -> None:
    put = (0, "enqueue", "a", None, 30, 31)
    twice = story(
        Queue(), *noise("enqueue", "dequeue"), put, (1, "dequeue", None, "a", 34, 35), (2, "dequeue", None, "a", 34, 36)
    )
    assert [shown(line) for line in twice[1:-1]] == [
        'c0: enqueue("a")', 'c1: dequeue() answered "a"', 'c2: dequeue() answered "a"',
    ]  # fmt: skip
    lost = story(Queue(), *noise("enqueue", "dequeue"), put, (1, "dequeue", None, None, 34, 35))
    assert [shown(line) for line in lost[1:-1]] == ['c0: enqueue("a")', "c1: dequeue() found nothing"]


def test_a_stack_that_is_not_last_in_first_out() -> None:
    pushes = [(0, "push", "a", None, 30, 31), (0, "push", "b", None, 32, 33)]
    lines = story(Stack(), *noise("push", "pop"), *pushes, (1, "pop", None, "a", 34, 35))
    assert [shown(line) for line in lines[1:-1]] == [
        'c0: push("a")',
        'c0: push("b")',
        'c1: pop() answered "a"',
    ]


def test_two_holders_of_one_mutex() -> None:
    rounds = [
        (n % 3, function, None, None, 4 * n + begin, 4 * n + begin + 1)
        for n in range(20)
        for function, begin in (("acquire", 0), ("release", 2))
    ]
    lines = story(Mutex(), *rounds, (5, "acquire", None, None, 90, 91), (6, "acquire", None, None, 92, 93))
    assert lines == (
        "key 'x', a mutex that holds \"free\" at first (times in ms):",
        "78.000 to 79.000  c1, operation 39: release() (whatever it found)",
        "90.000 to 91.000  c5, operation 40: acquire() (whatever it found)",
        "92.000 to 93.000  c6, operation 41: acquire()",
        "c6, operation 41: acquire(), but no order of these operations allows that by 93.000 ms.",
    )


def test_a_set_that_lost_a_value() -> None:
    adds = [(1, "add", n, None, n, n + 0.5) for n in range(8)]
    lines = story(Set(), *adds, (2, "read", None, (0, 1), 6.1, 6.2))
    assert [shown(line) for line in lines[1:-1]] == ["c1: add(0)", "c1: add(1)", "c1: add(5)", "c2: read() saw [0,1]"]


def test_a_set_that_nobody_reads_as_a_whole_is_told_value_by_value() -> None:
    adds = [(1, "add", n, None, n, n + 0.5) for n in range(8)]
    result = check_linearizable(history(*adds, (2, "contains", 3, False, 20, 21)), Set())
    assert result.story == (
        "key 'x', value 3, a set that holds \"absent\" at first (times in ms):",
        " 3.000 to  3.500  c1, operation 3: add(3)",
        "20.000 to 21.000  c2, operation 8: contains(3) answered false",
        "c2, operation 8: contains(3) answered false, but no order of these operations allows that by 21.000 ms.",
    )
