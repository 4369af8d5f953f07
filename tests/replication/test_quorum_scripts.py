"""Every script under tests/replication/quorums gives its golden output; `pytest --synod-rewrite` writes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.testing.golden import check_golden, parse
from tests.replication.quorum_script import QuorumScript

SCRIPTS = sorted((Path(__file__).parent / "quorums").glob("*.txt"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_quorums(script: Path, pytestconfig: pytest.Config) -> None:
    check_golden(script, QuorumScript(script.name).run, rewrite=pytestconfig.getoption("--synod-rewrite"))


def test_there_are_scripts() -> None:
    assert [script.stem for script in SCRIPTS] == [
        "configuration",
        "joint",
        "majority",
        "one_of",
        "threshold",
        "weighted",
    ]


def test_a_mistake_in_a_script_is_an_answer() -> None:
    (block,) = parse(
        "reached n1\nmayority n1\nmajority n1\nmembers\nheld n1\nthreshold 2 n1\njoint n1\n----\n", "x.txt"
    )
    assert QuorumScript("x.txt").run(block).splitlines() == [
        "reached n1: error: x.txt: there are no quorums yet. Start with: majority n1 n2 n3.",
        "mayority n1: error: x.txt: no command 'mayority'. Did you mean 'majority'?",
        "members: error: x.txt: there is no configuration. Start with: configuration n1 n2 n3.",
        "held n1: error: invalid literal for int() with base 10: ''",
        "threshold 2 n1: error: threshold: cannot read '2 n1'. Write threshold 2 of n1 n2 n3.",
        "joint n1: error: n1: 1 sides, and not 2. Part them by |.",
    ]
