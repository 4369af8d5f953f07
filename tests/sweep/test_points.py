"""Points are found by their number, in the order in which the command line has them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from framework.core.errors import ConfigError
from framework.sweep.axes import Axis, Choices, Interval, axis_of, override_text
from framework.sweep.points import Points


def axis(text: str, seed: int = 0, options: Sequence[str] = ()) -> Axis:
    parsed = OverridesParser.create().parse_override(text)
    return axis_of(text, parsed, lambda group: options, seed)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("nodes=3,5,7", [3, 5, 7]),
        ("nodes=range(3,8,2)", [3, 5, 7]),
        ("nodes=sort(7,3,5)", [3, 5, 7]),
        ("nodes=choice(3,5)", [3, 5]),
        ("rate=range(0,1,0.25)", [0.0, 0.25, 0.5, 0.75]),
        ("protocol=raft,multipaxos", ["raft", "multipaxos"]),
        ("faults=[crash],[crash,partition]", [["crash"], ["crash", "partition"]]),
        ("x=true,null,'1'", [True, None, "1"]),
        ("duration=500ms,1s", ["500ms", "1s"]),
        ("duration=tag(ms,range(500,2000,500))", ["500ms", "1s", "1500ms"]),
        ("duration=tag(s,choice(1,0.25))", ["1s", "250ms"]),
    ],
)
def test_values_are_hydras(text: str, values: list[object]) -> None:
    found = axis(text)
    assert isinstance(found, Choices) and list(found.values) == values


def test_a_glob_chooses_among_the_options_of_its_group() -> None:
    found = axis("protocol=glob(*paxos*)", options=["abd", "multipaxos", "paxos", "raft"])
    assert isinstance(found, Choices) and list(found.values) == ["multipaxos", "paxos"]


def test_a_shuffled_axis_follows_from_the_sweeps_seed() -> None:
    first, again, other = (axis("nodes=shuffle(range(1,50))", seed) for seed in (1, 1, 2))
    assert isinstance(first, Choices) and isinstance(other, Choices)
    assert first == again and first != other
    assert sorted(first.values) == sorted(other.values) == list(range(1, 50)) and list(first.values) != list(
        range(1, 50)
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("seed=range(5,5)", "seed=range(5,5): has no values. The end of a range is excluded: range(0,10)."),
        ("nodes=3,5,3", "nodes=3,5,3: 3 is listed twice. Write each value once."),
        ("nodes=range(1,3,0)", "Write range(START,STOP,STEP)."),
        ("rate=interval(2,1)", "its end is not above its start"),
        ("protocol=glob(x*)", "has no values"),
        ("nodes=range(0,100000000)", "has too many values"),
        ("rate=range(0,1,0.00000001)", "has too many values"),
        ("~faults=crash,loss", "a deletion takes one value"),
    ],
)
def test_what_has_no_values_is_one_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        axis(text)
    assert complaint in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        "raft",
        "500ms",
        "1",
        "true",
        "a b",
        "x,y",
        "null",
        "it's",
        "[1]",
        "",
        3,
        0.5,
        True,
        None,
        ["crash", "a b"],
        {"a": "1"},
    ],
)
def test_an_override_says_just_the_value(value: object) -> None:
    text = override_text(Choices("key", [value]), value)
    parsed = OverridesParser.create().parse_override(text)
    assert not parsed.is_sweep_override() and parsed.value() == value and type(parsed.value()) is type(value)


def test_a_grid_is_in_the_written_order_and_its_seeds_are_innermost() -> None:
    points = Points((axis("protocol=raft,multipaxos"), axis("nodes=3,5,7")), range(10, 12))
    expected = list(itertools.product(["raft", "multipaxos"], [3, 5, 7], [10, 11]))
    assert [(*point.values, point.seed) for point in map(points.__getitem__, range(len(points)))] == expected
    assert points.overrides(points[7].values) == ("protocol=multipaxos", "nodes=3")


@given(st.lists(st.integers(1, 4), max_size=4), st.integers(1, 5))
def test_any_grid_equals_the_product(sizes: list[int], seeds: int) -> None:
    axes = tuple(Choices(f"k{place}", range(size)) for place, size in enumerate(sizes))
    points = Points(axes, range(seeds))
    found = [(*point.values, point.seed) for point in map(points.__getitem__, range(len(points)))]
    assert found == list(itertools.product(*(range(size) for size in sizes), range(seeds)))


def test_two_million_points_are_counted_without_being_made() -> None:
    points = Points((Choices("nodes", [3, 5]),), range(1_000_000))
    assert len(points) == 2_000_000 and points[1_999_999].values == (5,) and points[1_999_999].seed == 999_999


@pytest.mark.parametrize("sampler", ["random", "latin_hypercube"])
def test_a_draw_depends_on_its_number_and_the_sweeps_seed_alone(sampler: str) -> None:
    axes = (axis("a=interval(0,1)"), axis("b=int(interval(3,7))"), axis("c=x,y"))
    points = Points(axes, range(2), sampler, samples=40, sampler_seed=9)  # type: ignore[arg-type]
    again = Points(axes, range(2), sampler, samples=40, sampler_seed=9)  # type: ignore[arg-type]
    backwards = [again.combination(number) for number in reversed(range(40))]
    drawn = [points.combination(number) for number in range(40)]
    assert drawn == list(reversed(backwards)) and len(points) == 80
    assert all(0 <= a < 1 and type(b) is int and 3 <= b <= 7 and c in "xy" for a, b, c in drawn)
    other = Points(axes, range(2), sampler, samples=40, sampler_seed=8)  # type: ignore[arg-type]
    assert other.combination(0) != drawn[0]


def test_a_latin_hypercube_has_one_draw_in_each_stratum_of_each_axis() -> None:
    points = Points((axis("a=interval(0,1)"), axis("b=interval(10,20)")), (0,), "latin_hypercube", samples=25)
    drawn = [points.combination(number) for number in range(25)]
    assert sorted(int(a * 25) for a, _ in drawn) == list(range(25))
    assert sorted(int((b - 10) / 10 * 25) for _, b in drawn) == list(range(25))


def test_an_interval_of_whole_numbers_has_both_ends() -> None:
    whole = axis("n=int(interval(1,3))")
    assert isinstance(whole, Interval)
    assert [whole.at(0), whole.at(0.5), whole.at(1 - 2**-53)] == [1, 2, 3]


def test_durations_are_drawn_in_their_unit_and_ratios_by_ratio() -> None:
    duration, ratio, whole = (
        axis("d=tag(ms,interval(10,70))"),
        axis("r=tag(log,interval(10,1000))"),
        axis("n=tag(log,int(interval(1,7)))"),
    )
    assert [duration.at(share) for share in (0, 0.5)] == ["10ms", "40ms"]
    assert ratio.at(0) == 10 and ratio.at(0.5) == pytest.approx(100)
    assert [whole.at(0), whole.at(1 - 2**-53)] == [1, 7] and whole.at(0.5) == 2
