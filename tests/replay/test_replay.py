"""`python -m framework.replay`: a simulated run comes out the same, and what was changed is named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from framework.config.compose import compose
from framework.replay.__main__ import main as replay
from framework.run.__main__ import main as run
from framework.runs.folder import write_config
from tests.replay.local_workers import run_on_workers
from tests.runs.test_determinism import WANDERER

RAFT = ["experiment=raft_3nodes", "engine=sim", "duration=400ms", "clients=2", "workload.think_time=10ms", "--quiet"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    "words", [[], ["faults=crash", "faults.crash.at=150ms", "faults.crash.for=50ms", "quiet=100ms"]]
)
def test_a_simulated_run_is_the_same_again(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*RAFT, *words, "run.dir=first"]) == 0
    said(capsys)

    assert replay(["first"]) == 0
    lines = said(capsys)
    assert lines[0].startswith("drove first again to 0.4")
    digest = json.loads(Path("first/result.json").read_bytes())["digest"]
    assert lines[1].startswith("same: ") and lines[1].endswith(f" events, digest {digest}")


def test_until_stops_node_shows_and_steps_tells(capsys: pytest.CaptureFixture[str]) -> None:
    run([*RAFT, "run.dir=first"])
    said(capsys)

    assert replay(["first", "--until", "250ms", "--node", "n2", "--steps"]) == 0

    lines = said(capsys)
    end = next(place for place, line in enumerate(lines) if line.startswith("n2 at 0.2"))
    assert lines[0].split() == ["0.000000", "ms", "n2", "starts"]
    assert all(" n2 " in line or line.startswith(" " * 20) for line in lines[:end])
    assert any(line.startswith("  term = 1") for line in lines[end:])
    assert any(line.startswith("  log = DurableLog(1..") for line in lines[end:])
    assert lines[-1].startswith("same: ")


def test_until_past_the_end_says_where_the_run_ended(capsys: pytest.CaptureFixture[str]) -> None:
    run([*RAFT, "run.dir=first"])
    ended = json.loads(Path("first/result.json").read_bytes())["virtual_s"]
    said(capsys)

    assert replay(["first", "--until", "5s"]) == 0
    assert f"the run ended at {ended:g} s, before --until 5s" in said(capsys)
    assert replay(["first", "--until", "300ms"]) == 0
    assert not any("before --until" in line for line in said(capsys))


def test_a_history_is_compared_where_there_are_no_events(capsys: pytest.CaptureFixture[str]) -> None:
    run([*RAFT, "trace=history", "run.dir=first"])
    run([*RAFT, "trace=none", "run.dir=blind"])
    said(capsys)

    assert replay(["first"]) == 0
    assert " operations, digest " in said(capsys)[1]
    assert replay(["first", "--steps", "--until", "200ms"]) == 0
    assert any("notes elected" in line for line in said(capsys))
    assert replay(["blind"]) == 2
    assert "cannot compare" in said(capsys)[1]


def test_a_run_that_was_cut_off_is_compared_as_far_as_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    run([*RAFT, "run.dir=first"])
    Path("first/result.json").unlink()
    file = Path("first/trace/events.arrow")
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    said(capsys)

    assert replay(["first"]) == 0


def test_another_seed_is_another_run_and_the_first_event_that_differs_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run([*RAFT, "run.dir=first"])
    config = Path("first/config.yaml")
    config.write_text(config.read_text().replace("seed: 0", "seed: 1"))
    said(capsys)

    assert replay(["first"]) == 2
    lines = said(capsys)
    assert lines[1].startswith("differs at number ")
    assert lines[2].startswith("  recorded: ") and lines[3].startswith("  replayed: ")
    assert lines[2][16:] != lines[3][16:]


def test_what_the_code_draws_from_the_global_random_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("synod_replay_wanderer.py").write_text(WANDERER.replace("wanderer", "replayed"))
    words = ["plugins.path=synod_replay_wanderer.py", "protocol=replayed", "workload=echo", "engine=sim", "nodes=2"]
    run([*words, "duration=50ms", "clients=1", "protocol.source=random", "--quiet", "run.dir=first"])
    said(capsys)

    assert replay(["first"]) == 2
    lines = said(capsys)
    assert "sends replayed.Gossip(number=0." in lines[2] and "sends replayed.Gossip(number=0." in lines[3]
    assert lines[4] == "  in: payload"
    assert lines[5].startswith("Something other than config, seed and inputs affects the run")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "no such run folder"),
        (["."], "missing. Is this the folder of a run?"),
        (["first", "--until", "3"], "--until: a duration needs a unit"),
        (["first", "--node", "n9"], "--node n9: is not in this run"),
        (["first", "--node"], "--node: expected one argument"),
        (["first", "--nod", "n1"], "unknown argument --nod. Did you mean '--node'?"),
        (["first", "second"], "unknown argument second. See python -m framework.replay --help."),
        ([], "the following arguments are required: RUN"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    run([*RAFT, "duration=20ms", "run.dir=first"])
    said(capsys)

    assert replay(words) == 2
    shown = capsys.readouterr()
    assert len(shown.err.splitlines()) == 1 and says in shown.err


REGISTERED = '''
"""The register of the engine's tests, as a plugin."""

from framework import hookimpl
from tests.engine.ray.register import PROTOCOL, WORKLOAD


@hookimpl
def register_protocols():
    return [PROTOCOL]


@hookimpl
def register_workloads():
    return [WORKLOAD]
'''


def test_nodes_of_a_run_on_ray_are_driven_again_each_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    Path("synod_replay_register.py").write_text(REGISTERED)
    words = ["plugins.path=synod_replay_register.py", "protocol=register", "workload=register", "clients=2"]
    composed = compose([*words, "duration=300ms", "workload.think_time=2ms", "run.dir=first"])
    Path("first").mkdir()
    write_config(Path("first"), composed.config)
    experiment = dataclasses.replace(composed.experiment, run_dir=Path("first"))
    run_on_workers(experiment, until=lambda workers: workers[1].tally.ok >= 30)

    assert replay(["first"]) == 0
    lines = said(capsys)
    assert [line.split(" (")[0] for line in lines] == [f"{node}: same" for node in ("n1", "n2", "n3", "c1", "c2")]

    assert replay(["first", "--node", "n2", "--steps"]) == 0
    lines = said(capsys)
    assert lines[0].split()[2:] == ["n2", "starts"]
    assert any("n2 takes register.Ask(" in line for line in lines)
    assert lines[-1].startswith("n2: same (")
    assert replay(["first", "--until", "1h"]) == 0
    assert said(capsys)[0].endswith(" s, before --until 1h")

    Path("first/trace/c1-0.arrow").unlink()
    assert replay(["first"]) == 2
    lines = said(capsys)
    assert any("n1: same so far" in line and "is lost" in line for line in lines)
    assert lines[-1] == "nothing was recorded of c1, c2"
