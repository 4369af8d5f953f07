"""The command that an invalid run prints takes it again: with plugins, config folders and odd names in its words."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from framework.replay.__main__ import main as replay
from framework.run.__main__ import main as run
from tests.shrink.test_shrink import FORGETFUL

EXPERIMENT = """# @package _global_
defaults:
  - override /protocol: remembers_not
  - override /workload: kv

nodes: 2
clients: 3
duration: 600ms
quiet: 200ms

plugins:
  path: [my plugins/synod_seen_again.py]

workload:
  think_time: 5ms

faults:
  of the first: {name: crash, target: n1, at: 200ms, for: 50ms}
"""


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_with_a_config_folder_and_a_plugin_that_its_experiment_names(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my plugins").mkdir()
    Path("my plugins/synod_seen_again.py").write_text(FORGETFUL.replace('"forgetful"', '"remembers_not"'))
    Path("my configs/experiment").mkdir(parents=True)
    Path("my configs/experiment/lossy memory.yaml").write_text(EXPERIMENT)
    words = ["experiment=lossy memory", "--config-dir", "my configs", "engine=sim", "seed=4"]

    assert run([*words, "run.dir=it's first"]) == 1
    lines = capsys.readouterr().out.splitlines()
    command = shlex.split(lines[lines.index("to run it again:") + 1])
    assert run([*command[3:], "--quiet", "run.dir=second"]) == 1
    digests = [json.loads(Path(name, "result.json").read_bytes())["digest"] for name in ("it's first", "second")]
    assert digests[0] == digests[1]

    capsys.readouterr()
    assert replay(["it's first"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith(digests[0])
    assert lines[2].startswith("its verdict was: invalid — linearizability: ")
