"""The examples of docs/composition.md hold under chaos, and on real actors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from framework import open_run
from framework.config.compose import compose
from framework.replay.__main__ import main as replay
from framework.run.__main__ import main as run
from tests.composition.examples import RUNS, lay, overrides

CHAOS = ("engine=sim", "trace=history", "duration=2s", "faults=chaos", "faults.chaos.kinds.disk=0")


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> str:
    return lay(tmp_path_factory.mktemp("examples"))


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_bytes())
    return result


@pytest.mark.long
@pytest.mark.parametrize("name", RUNS)
def test_an_example_holds_under_chaos(name: str, plugins: str, tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        folder = tmp_path / str(seed)
        assert run(overrides(name, plugins, *CHAOS, f"seed={seed}", f"run.dir={folder}")) == 0, folder
        assert result_of(folder)["operations"]["ok"] > 0


def test_the_groups_of_a_router_are_checked_one_by_one(plugins: str, tmp_path: Path) -> None:
    words = ("engine=sim", "duration=1500ms", "faults=crash", "faults.crash.at=300ms", "faults.crash.for=100ms")
    target = "faults.crash.target=leader:shard-3"
    assert run(overrides("router-raft", plugins, *words, target, f"run.dir={tmp_path / 'run'}")) == 0
    result = result_of(tmp_path / "run")
    reasons = {check["name"]: check["reason"] for check in result["checks"]}
    assert reasons["convergence"].startswith("8 groups of replicas equal")
    assert result["ledger"][0]["fired"] == 1 and set(result["forced_writes"]) == {"n1", "n2", "n3"}
    assert replay([str(tmp_path / "run")]) == 0


def test_a_fault_finds_the_client_that_holds_a_lease(plugins: str, tmp_path: Path) -> None:
    for kind in ("crash", "pause", "clock"):
        folder = tmp_path / kind
        faults = (
            f"faults={kind}",
            f"faults.{kind}.target=holder",
            f"faults.{kind}.every=400ms",
            f"faults.{kind}.for=200ms",
        )
        words = ("engine=sim", "duration=3s", "trace=history", *faults, f"run.dir={folder}")
        assert run(overrides("leases-raft", plugins, *words)) == 0
        (entry,) = result_of(folder)["ledger"]
        assert entry["fired"] == entry["due"] > 2 and entry["roles"] == {"holder": entry["fired"]}
        assert set(entry["against"]) <= {"c1", "c2", "c3", "c4", "c5"}
        unknown = result_of(folder)["operations"]["unknown"]
        assert unknown == (entry["fired"] if kind == "crash" else 0)


def test_a_role_of_the_protocol_and_the_service_of_the_workload_are_targets(plugins: str, tmp_path: Path) -> None:
    for name, target, nodes in (("mirror", "backup", {"n2", "n3"}), ("leases-raft", "service", {"s1"})):
        faults = ("faults=pause", f"faults.pause.target={target}", "faults.pause.at=300ms", "faults.pause.for=100ms")
        words = ("engine=sim", "duration=1500ms", *faults, f"run.dir={tmp_path / name}")
        assert run(overrides(name, plugins, *words)) == 0
        assert set(result_of(tmp_path / name)["ledger"][0]["against"]) == nodes


def test_forced_writes_are_those_that_one_counts_by_hand(plugins: str, tmp_path: Path) -> None:
    """One client, so that no two writes share a commit: a write is one at the primary and one at each backup, a read none;
    the meter's count of reads is written with the next write."""
    for name, nodes in (("mirror", ("n1", "n2", "n3")), ("meter", ("n1",))):
        words = ("engine=sim", "clients=1", "duration=500ms", f"run.dir={tmp_path / name}")
        assert run([*overrides(name, plugins), *words]) == 0
        history = open_run(tmp_path / name).history
        writes = history["function"].to_pylist().count("write")
        assert 0 < writes < history.num_rows
        assert result_of(tmp_path / name)["forced_writes"] == dict.fromkeys(nodes, writes)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("protocol.group=rafft",), "protocol.group=rafft: there is no protocol 'rafft'. Did you mean 'raft'?"),
        (("protocol.group_config.heartbeat=1ms",), "there is no such key. Did you mean 'heartbeat_interval'?"),
        (("protocol.group_config.heartbeat_interval=soon",), "protocol.group_config.heartbeat_interval=soon: "),
        (("protocol.grop=raft",), "protocol.grop=raft: there is no such key. Did you mean 'group'?"),
        (("faults=crash", "faults.crash.target=leadr:shard-1"), "'leadr' cannot stand before a colon. Did you mean 'leader'?"),
        (("faults=crash", "faults.crash.target=client:"), "names nothing after the colon. Write client:NAME."),
        (("faults=partition", "faults.partition.target=client:c1"), "Crashes, pauses and clocks reach clients."),
    ],
)  # fmt: skip
def test_a_slip_is_one_line_that_says_what_to_write(
    words: tuple[str, ...], says: str, plugins: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(overrides("router-raft", plugins, "engine=sim", *words, f"run.dir={tmp_path / 'run'}")) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line


def test_a_router_may_mount_routers(plugins: str, tmp_path: Path) -> None:
    words = ("engine=sim", "duration=300ms", "protocol.group=router", "protocol.group_config.groups=3")
    assert run(overrides("router-raft", plugins, *words, f"run.dir={tmp_path / 'run'}")) == 0
    reasons = [check["reason"] for check in result_of(tmp_path / "run")["checks"]]
    assert any(reason.startswith("24 groups of replicas equal") for reason in reasons)


ENDLESS = """
from framework import Config, Node, Client, ProtocolChoice, ProtocolSpec, hookimpl
class EndlessConfig(Config):
    inner: ProtocolChoice = ProtocolChoice("endless")
class EndlessNode(Node): ...
class EndlessClient(Client):
    def invoke(self, operation): ...
@hookimpl
def register_protocols():
    return [ProtocolSpec(name="endless", summary=".", node=EndlessNode, client=EndlessClient, config=EndlessConfig)]
"""


def test_protocols_that_choose_themselves_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    assert run(["engine=sim", "protocol=endless", f"plugins.path={tmp_path / 'endless.py'}", "workload=echo"]) == 2
    assert "protocols choose one another without end. Choose one that mounts no other." in capsys.readouterr().err


def test_roles_need_their_nodes(plugins: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more, says in (
        (["nodes=2"], "nodes=2: protocol mirror needs 3: 1 as primary, 2 as backup. Write nodes=3 and spares=0."),
        (["nodes=4", "protocol.backups=3"], ""),
    ):
        words = ("engine=sim", "duration=200ms", *more, f"run.dir={tmp_path / more[0]}")
        assert run(overrides("mirror", plugins, *words)) == (2 if says else 0)
        assert says in capsys.readouterr().err


@pytest.mark.ray
@pytest.mark.usefixtures("ray_runtime")
@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("desk", ("faults=crash", "faults.crash.target=n2")),
        ("router-multipaxos", ("faults=crash", "faults.crash.target=leader:shard-2")),
        ("chunks", ("faults=pause", "faults.pause.target=n2")),
        (
            "leases-raft",
            (
                "faults=[crash,pause,clock]", "faults.crash.target=holder", "faults.pause.target=client:c2",
                "faults.pause.at=1500ms", "faults.pause.for=300ms", "faults.clock.target=client:c3",
                "engine.clients_per_actor=1",
            ),
        ),
    ],
)  # fmt: skip
def test_an_example_runs_on_real_actors(name: str, faults: tuple[str, ...], plugins: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert run(overrides(name, plugins, "engine=ray", "duration=4s", *faults, f"run.dir={folder}")) == 0
    result = result_of(folder)
    assert result["operations"]["ok"] > 0
    assert all(entry["fired"] for entry in result["ledger"])
    if name != "leases-raft":
        assert set(result["forced_writes"]) == ({"n1"} if name == "desk" else {"n1", "n2", "n3"})
    assert replay([str(folder)]) == 0


def test_what_holds_for_a_chosen_protocol_is_checked_and_what_it_expects_sometimes_counted(
    plugins: str, tmp_path: Path
) -> None:
    chosen = compose(["protocol=multipaxos", "workload=kv"]).experiment.protocol
    words = ("engine=sim", "duration=300ms", f"run.dir={tmp_path / 'run'}")
    assert run(overrides("router-multipaxos", plugins, *words)) == 0
    found = result_of(tmp_path / "run")
    (check,) = [check for check in found["checks"] if check["name"] == "invariants"]
    assert chosen.invariants and all(each.__name__ in check["reason"] for each in chosen.invariants)
    assert set(found["sometimes"]) == {each.name for each in chosen.sometimes} != set()


def test_a_service_has_the_config_of_its_workload(plugins: str) -> None:
    words = [word for word in overrides("leases-raft", plugins, "engine=sim") if word != "--quiet"]
    experiment = compose(words).experiment
    assert experiment.endpoint("s1").config is experiment.workload_config
