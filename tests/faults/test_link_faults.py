"""What faults do to links: cuts, losses, copies, delays; and links stay FIFO unless reordering is asked for."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from framework.faults.actions import Impairment
from framework.faults.link_faults import LinkFaults

LINK = ("n1", "n2")


def link_faults() -> LinkFaults:
    return LinkFaults(lambda link: random.Random("->".join(link)))


def test_one_direction_is_cut_and_the_other_is_not() -> None:
    sky = link_faults()
    sky.impair(1, [LINK], Impairment(cut=True))
    assert sky.active and sky.cut(LINK) and not sky.cut(("n2", "n1"))
    assert sky.transmit(LINK, 0, (5,)) == ()
    assert sky.transmit(("n2", "n1"), 0, (5,)) == (5,)
    sky.restore(1)
    assert not sky.active and sky.transmit(LINK, 10, (15,)) == (15,)
    assert (sky.touched_counts[1].passed, sky.touched_counts[1].touched) == (1, 1)


def test_disturbances_add_up_and_end_one_by_one() -> None:
    sky = link_faults()
    sky.impair(1, [LINK], Impairment(delay=10))
    sky.impair(2, [LINK], Impairment(delay=100))
    assert sky.transmit(LINK, 0, (5,)) == (115,)
    sky.restore(2)
    sky.restore(2)
    assert sky.transmit(LINK, 200, (205,)) == (215,)


def test_what_is_lost_already_does_not_come_by_what_else_is_in_force() -> None:
    sky = link_faults()
    sky.impair(1, [LINK], Impairment(cut=True))
    sky.impair(2, [LINK], Impairment(delay=100))
    assert sky.transmit(LINK, 0, (5,)) == ()
    assert (sky.touched_counts[2].passed, sky.touched_counts[2].touched) == (0, 0)


def test_what_is_sent_after_a_delay_ends_does_not_overtake_what_was_held_up() -> None:
    sky = link_faults()
    sky.impair(1, [LINK], Impairment(delay=1000))
    assert sky.transmit(LINK, 0, (5,)) == (1005,)
    sky.restore(1)
    assert sky.active
    assert sky.transmit(LINK, 10, (15,)) == (1005,)
    assert sky.transmit(LINK, 2000, (2005,)) == (2005,)
    assert sky.transmit(LINK, 3000, (3005,)) == (3005,)
    assert sky.transmit(LINK, 9000, (9005,)) == (9005,) and not sky.cut(LINK)


def test_probabilities_hold_within_chance() -> None:
    sky = link_faults()
    sky.impair(1, [LINK], Impairment(loss=0.25))
    sky.impair(2, [LINK], Impairment(duplicate=0.25, spread=3))
    arrivals = [sky.transmit(LINK, now, (now + 5,)) for now in range(0, 100_000, 10)]
    assert 2200 < sum(not copies for copies in arrivals) < 2800
    assert 1600 < sum(len(copies) == 2 for copies in arrivals) < 2200
    assert 2200 < sky.touched_counts[1].touched < 2800


def test_reordered_messages_are_overtaken() -> None:
    sky = link_faults()
    sky.impair(1, [LINK], Impairment(reorder=0.5, spread=1000))
    arrivals = [sky.transmit(LINK, now, (now + 5,))[0] for now in range(0, 10_000, 10)]
    assert arrivals != sorted(arrivals)
    assert all(at >= now + 5 for at, now in zip(arrivals, range(0, 10_000, 10), strict=True))


kinds = st.builds(
    Impairment,
    cut=st.booleans(),
    loss=st.sampled_from((0.0, 0.5)),
    delay=st.integers(0, 500),
    duplicate=st.sampled_from((0.0, 0.5)),
    spread=st.integers(0, 100),
)
events = st.lists(st.tuples(st.integers(0, 60), st.one_of(st.none(), st.integers(1, 3), kinds)), max_size=60)


@given(events)
def test_without_reordering_nothing_overtakes_however_disturbances_come_and_go(
    happens: list[tuple[int, object]],
) -> None:
    sky, now, token, latest = link_faults(), 0, 10, 0
    for gap, event in happens:
        now += gap
        if isinstance(event, Impairment):
            token += 1
            sky.impair(token, [LINK], event)
        elif isinstance(event, int):
            sky.restore(token - event)
        else:
            arrivals = sky.transmit(LINK, now, (now + 5,)) if sky.active else (now + 5,)
            assert all(at >= latest and at >= now + 5 for at in arrivals)
            latest = max((latest, *arrivals[:1]))
