"""The gallery has every study, and every figure that a study's folder holds."""

from __future__ import annotations

from tests.gallery import EXPERIMENTS, TARGET, studies, written


def test_the_gallery_is_up_to_date() -> None:
    assert TARGET.read_text("utf-8") == written(), "run python -m tests.gallery"


def test_every_figure_is_shown_in_its_study_and_there() -> None:
    shown = {f"{study.name}/{path}" for study in studies() for _, path in study.figures}
    there = {str(file.relative_to(EXPERIMENTS)) for file in EXPERIMENTS.glob("*/*.svg")}
    assert shown == there


def test_every_study_that_can_be_run_is_listed() -> None:
    runnable = {file.parent.name for file in EXPERIMENTS.glob("*/__main__.py")}
    assert runnable == {study.name for study in studies()}
