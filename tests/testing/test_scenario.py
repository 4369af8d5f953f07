"""Scenario scripts: what they say of a wrong answer, and of a mistake in the script."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.core.errors import ConfigError
from framework.testing.golden import OutputDiffers, parse
from framework.testing.scenario import Script, check_scenario


def test_a_wrong_answer_is_shown_with_its_line_and_rewritten_on_demand(tmp_path: Path) -> None:
    script = tmp_path / "echo.scenario"
    script.write_text("# Says it back.\ncluster protocol=echo workload=echo nodes=1 clients=1\n----\nn1 sleeps\n")
    with pytest.raises(OutputDiffers) as differs:
        check_scenario(script)
    assert str(differs.value).splitlines() == [
        "echo.scenario:2:",
        "cluster protocol=echo workload=echo nodes=1 clients=1",
        "----",
        "-n1 sleeps",
        "+n1 started",
        "+c1 started",
    ]
    check_scenario(script, rewrite=True)
    assert script.read_text() == (
        "# Says it back.\ncluster protocol=echo workload=echo nodes=1 clients=1\n----\nn1 started\nc1 started\n"
    )
    check_scenario(script)


def test_a_mistake_in_a_script_says_where_and_what_to_write() -> None:
    with pytest.raises(ConfigError, match=r"x.scenario:1: 'fire n1 tick' has no answer. Write ----"):
        parse("fire n1 tick\n\n", "x.scenario")
    script = Script("x.scenario")
    (block,) = parse("fyre n1 tick\n----\n", "x.scenario")
    assert script.run(block) == "error: x.scenario:1: no command 'fyre'. Did you mean 'fire'?"
    (block,) = parse("fire n1 tick\n----\n", "x.scenario")
    assert (
        script.run(block) == "error: x.scenario:1: there is no cluster yet. Start with: cluster protocol=NAME nodes=3."
    )


def test_a_command_with_the_wrong_words_says_what_to_write() -> None:
    script = Script("x.scenario")
    (start,) = parse("cluster protocol=echo workload=echo nodes=2 clients=1\ninvoke c1 echo x 1\n----\n", "x.scenario")
    script.run(start)
    answers = {
        "deliver Echo from": "deliver: cannot read 'Echo from'. Write deliver [MESSAGE] [from NODE] [to NODE].",
        "drop_all Echo EchoReply": (
            "drop_all: cannot read 'Echo EchoReply'. Write drop_all [MESSAGE] [from NODE] [to NODE]."
        ),
        "deliver Echo, Echo": "deliver: no Echo is on its way besides the 1 before it. Look at envelopes.",
        "time_out": "time_out: takes a node, and maybe a timer. Write time_out NODE [TIMER].",
        "crash n1 kept": "crash: takes 1 words, not 2. Write crash NODE [keep_commit].",
        "slow_disk": "slow_disk: takes 1 words, not 0. Write slow_disk NODE.",
        "pause n1 n2": "pause: takes 1 words, not 2. Write pause NODE.",
        "heal n1": "heal: takes 0 words, not 1. Write heal.",
        "stored n3": "n3: no such node. There are: c1, n1, n2.",
        "partition n1 | n2 | n1": "partition: n1 is named twice. Put each node on one side.",
    }
    (block,) = parse("\n".join([*answers, "----\n"]), "x.scenario")
    assert script.run(block).splitlines() == [f"error: {answer}" for answer in answers.values()]
