"""What may be typed, and what is said to everything else."""

from __future__ import annotations

import shlex

import pytest

from framework.console.arguments import Arguments, help_head, parse
from framework.core.errors import ConfigError
from framework.runs.commands import replay_command


def test_overrides_and_flags_may_stand_in_any_order() -> None:
    words = ["experiment=hello", "--quiet", "nodes=5", "--config-dir", "mine", "~faults", "--cfg", "job"]

    assert parse(words) == Arguments(
        overrides=("experiment=hello", "nodes=5", "~faults"), config_dir="mine", show_config=True, quiet=True
    )


def test_a_flags_value_may_stand_behind_an_equals_sign() -> None:
    assert parse(["--config-dir=mine", "--cfg=job"]) == Arguments(config_dir="mine", show_config=True)


def test_help_may_be_asked_for_either_way() -> None:
    assert parse(["-h"]).help
    assert parse(["engine=sim", "--help"]).help


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--quite", "framework.run: unknown flag --quite. Did you mean '--quiet'?"),
        ("--conf-dir=x", "framework.run: unknown flag --conf-dir=x. Did you mean '--config-dir'?"),
        (
            "-z",
            "framework.run: unknown flag -z. There are: --cfg, --code, --config-dir, --help, --multirun, --quiet, --rerun, --resume.",
        ),
        ("--quiet=yes", "framework.run: unknown flag --quiet=yes. Did you mean '--quiet'?"),
        ("--multirunn", "framework.run: unknown flag --multirunn. Did you mean '--multirun'?"),
        ("--rerun=some", "framework.run: --rerun some is not known. There are: failed, invalid, unknown."),
        ("--cfg", "framework.run: --cfg is not known. Write --cfg job."),
        ("--cfg=hydra", "framework.run: --cfg hydra is not known. Write --cfg job."),
        ("--config-dir", "framework.run: --config-dir needs a folder. Write --config-dir DIR."),
    ],
)
def test_a_wrong_word_is_answered_with_one_line_that_helps(word: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse([word])

    assert str(raised.value) == message


def test_a_run_is_taken_again_with_its_seed_and_in_a_folder_of_its_own() -> None:
    overrides = ["experiment=raft", "seed=1", "run.dir=runs/mine", "network.regions=[eu, us]"]
    command = replay_command(overrides, "my conf", seed=1)

    assert shlex.split(command) == [
        "python", "-m", "framework.run", "experiment=raft", "network.regions=[eu, us]", "seed=1",
        "--config-dir", "my conf",
    ]  # fmt: skip


def test_help_names_every_flag_and_shows_examples() -> None:
    text = help_head()

    assert all(flag in text for flag in ("--help", "--cfg job", "--config-dir DIR", "--quiet"))
    assert "experiment=raft_5nodes" in text
