"""Numbers and tracebacks, short and still true."""

from __future__ import annotations

from framework.console.formatting import milliseconds, rate, shortened, tallied


def test_numbers_keep_the_digits_that_matter() -> None:
    assert [milliseconds(value) for value in (0.517, 12.34, 1240.4, None)] == [
        "0.52 ms", "12.3 ms", "1,240 ms", "-",
    ]  # fmt: skip
    assert [rate(value) for value in (0.25, 4012.4)] == ["0.2/s", "4,012/s"]
    assert tallied({"restart": 1, "crash": 2, "heal": 0}) == "crash 2, restart 1"
    assert tallied({}) == "none"


def frames(count: int) -> str:
    return "".join(f'  File "votes.py", line {n}, in f{n}\n    f{n + 1}()\n' for n in range(count))


def test_a_long_traceback_shows_its_last_frames_and_counts_the_others() -> None:
    text = f"Traceback (most recent call last):\n{frames(9)}ValueError: two\nlines\n"

    assert shortened(text, frames=2).splitlines() == [
        "Traceback (most recent call last):",
        "  … 7 more",
        '  File "votes.py", line 7, in f7',
        "    f8()",
        '  File "votes.py", line 8, in f8',
        "    f9()",
        "ValueError: two",
        "lines",
    ]


def test_of_a_chain_the_last_traceback_is_shown_and_a_short_one_stays_whole() -> None:
    last = f"Traceback (most recent call last):\n{frames(2)}KeyError: 'x'"

    assert shortened(f"Traceback (most recent call last):\n{frames(1)}OSError\n\nDuring …\n\n{last}\n") == last
