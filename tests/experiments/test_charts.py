"""Figures: what they show of the numbers, and that the same numbers give the same file."""

from __future__ import annotations

from pathlib import Path

from experiments import charts


def test_a_distribution_rises_to_the_share_that_is_known() -> None:
    assert charts.cdf([30.0, 10.0, None, 20.0]) == [(10.0, 0.25), (20.0, 0.5), (30.0, 0.75)]
    assert charts.cdf([None, None]) == []


def test_a_long_distribution_is_thinned_and_keeps_its_ends() -> None:
    points = charts.cdf(range(100_000))
    assert len(points) <= 400
    assert points[0] == (0.0, 1 / 100_000) and points[-1] == (99_999.0, 1.0)
    assert all(abs(share - (value + 1) / 100_000) < 1e-9 for value, share in points)


def chart(end: float) -> object:
    panel = charts.curves(
        {"one": [(1.0, 0.5), (end, 1.0)], "two": [(5.0, 0.2), (50.0, 1.0)]},
        x="time, ms", y="share", title="panel", legend="which", log_x=True, x_domain=(1, 100), percent=True,
        formulas={"one": [(1.0, 0.4), (90.0, 0.9)]},
    )  # fmt: skip
    return charts.below(panel, title="the answer")


def test_the_same_chart_gives_the_same_files_and_another_does_not(tmp_path: Path) -> None:
    for name, end in (("first", 10.0), ("again", 10.0), ("other", 20.0)):
        charts.save(chart(end), tmp_path / name)
    for suffix in (".svg", ".png"):
        first, again, other = (
            (tmp_path / name).with_suffix(suffix).read_bytes() for name in ("first", "again", "other")
        )
        assert first == again != other
    drawn = (tmp_path / "first.svg").read_text()
    assert all(f">{text}<" in drawn for text in ("the answer", "panel", "time, ms", "which", "two", "100%", "50"))
