"""The parts of the study of two choices, at small sizes."""

from __future__ import annotations

from collections import Counter

import pytest

from experiments.two_choices.balls import fullest
from experiments.two_choices.queues import ALL, choices, random_choice, theory


def test_theory_by_hand() -> None:
    assert theory(0.5, 1) == 2.0
    # 1 + 1/2^2 + 1/2^6 + 1/2^14 + …
    assert theory(0.5, 2) == pytest.approx(1 + 1 / 4 + 1 / 64 + 1 / 16_384, abs=1e-8)
    assert (theory(0.99, 1), theory(0.99, 2)) == (pytest.approx(100), pytest.approx(5.43, abs=0.01))


def test_the_fullest_of_4096_bins() -> None:
    most = {d: Counter(fullest(4_096, d, 40, seed=3)) for d in (1, 2, 3)}
    assert set(most[1]) <= set(range(5, 12)) and set(most[2]) <= {3, 4} and set(most[3]) <= {2, 3}


def test_queues_are_as_long_as_theory_says() -> None:
    assert choices(0.7, 2, 0.0, seed=1, servers=200, measured=300) == pytest.approx(theory(0.7, 2), rel=0.05)
    assert random_choice(0.5, seed=1, steps=1_000) == pytest.approx(2.0, rel=0.05)


def test_old_loads_make_a_herd() -> None:
    fresh, old = (choices(0.8, ALL, age, seed=1, servers=100, measured=100) for age in (0.1, 10.0))
    assert old > 2 * fresh
