"""From the command line to an experiment; and every mistake answered with its source and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

from framework import ConfigError, Duration, PluginError
from framework.config.compose import compose
from framework.config.groups import GROUPS
from framework.config.help import help_text
from framework.config.resolve import Composed
from framework.config.schema import RayConfig, SimConfig
from framework.faults.fault import TargetConfig
from framework.registry.registry import Registry, load
from plugins.networks.wan import AwsConfig
from plugins.protocols.raft.config import RaftConfig
from plugins.state_machines.kv import KeyValueStore
from tests.registry.loose import PROTOCOL, write_plugin

GLOBAL = "# @package _global_\n"
RAFT = GLOBAL + "defaults:\n  - override /protocol: raft\n"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


def refusal(registry: Registry, *overrides: str, config_dir: Path | None = None) -> str:
    with pytest.raises((ConfigError, PluginError)) as raised:
        compose(overrides, None if config_dir is None else str(config_dir), registry)
    text = str(raised.value)
    assert "\n" not in text and "hydra.cc" not in text
    return text


def user_file(folder: Path, name: str, text: str) -> Path:
    file = folder / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return folder


# What comes out.


def test_hello_is_three_nodes_that_echo_for_two_clients_on_ray(registry: Registry) -> None:
    composed = compose(["experiment=hello"], registry=registry)
    experiment = composed.experiment
    assert experiment.name == "hello"
    assert (experiment.nodes, experiment.clients) == (("n1", "n2", "n3"), ("c1", "c2"))
    assert (experiment.duration, experiment.warmup, experiment.seed) == (2_000_000_000, 0, 0)
    assert (experiment.protocol.name, experiment.workload.name, experiment.network.name) == (
        "echo",
        "echo",
        "perfect",
    )
    assert (composed.engine, type(experiment.engine_config)) == ("ray", RayConfig)
    assert [checker.name for checker, _ in composed.checkers] == ["echo"]
    assert composed.models.own is None
    assert experiment.trace == "full"
    assert experiment.run_dir.parent == Path("runs") and experiment.run_dir.name.startswith("hello-")


def test_the_experiments_of_raft_replicate_a_key_value_store(registry: Registry) -> None:
    for name, nodes in (("raft_3nodes", 3), ("raft_5nodes", 5), ("raft_wan", 5)):
        composed = compose([f"experiment={name}", "engine=sim"], registry=registry)
        config = composed.experiment.protocol_config
        assert isinstance(config, RaftConfig) and config.state_machine is not None
        assert config.state_machine.machine is KeyValueStore
        assert (len(composed.experiment.nodes), len(composed.experiment.clients)) == (nodes, 10)
        assert composed.models.own == "kv"
        assert isinstance(composed.experiment.engine_config, SimConfig)


def test_an_experiment_sets_what_its_file_says_and_the_command_line_has_the_last_word(
    registry: Registry,
) -> None:
    composed = compose(["experiment=raft_wan", "protocol.heartbeat_interval=250ms", "nodes=7"], registry=registry)
    assert composed.experiment.protocol_config.election_timeout_min == Duration("1s")
    assert composed.experiment.protocol_config.heartbeat_interval == Duration("250ms")
    assert len(composed.experiment.nodes) == 7
    assert isinstance(composed.experiment.network_config, AwsConfig)
    assert composed.experiment.network_config.regions[0] == "us-east-1"


def test_the_title_names_a_protocol_that_took_the_place_of_the_experiments_own(tmp_path: Path) -> None:
    user_file(tmp_path, "experiment/mine", GLOBAL + "defaults:\n  - raft_5nodes\nnodes: 3\n")
    titles = {
        ("experiment=raft_5nodes",): "raft_5nodes",
        ("experiment=raft_5nodes", "protocol=raft"): "raft_5nodes",
        ("experiment=raft_5nodes", "protocol=abd"): "raft_5nodes (protocol abd)",
        ("experiment=mine",): "mine",
        ("experiment=mine", "protocol=abd"): "mine (protocol abd)",
        ("protocol=raft",): "raft",
    }
    for overrides, title in titles.items():
        assert compose(overrides, str(tmp_path)).title == title


def test_of_two_overrides_of_one_key_the_later_counts(registry: Registry) -> None:
    composed = compose(["experiment=hello", "experiment=raft_5nodes", "nodes=4", "nodes=9"], registry=registry)
    assert (composed.experiment.name, len(composed.experiment.nodes)) == ("raft_5nodes", 9)


def test_several_faults_stand_under_keys_of_their_own(registry: Registry) -> None:
    composed = compose(
        [
            "experiment=raft_3nodes",
            "faults=crash",
            "faults.crash.for=2s",
            "+faults.late={name: crash, at: 8s, target: n2}",
        ],
        registry=registry,
    )
    assert [(key, config) for key, _, config in composed.experiment.faults] == [
        ("crash", TargetConfig(lasts=Duration("2s"))),
        ("late", TargetConfig(at=Duration("8s"), target="n2")),
    ]
    assert set(composed.config["faults"]) == {"crash", "late"}


@pytest.mark.parametrize("override", ["faults=null", "faults=none", "~faults", "faults=[]"])
def test_faults_can_be_taken_away(registry: Registry, override: str) -> None:
    assert compose(["experiment=hello", override], registry=registry).experiment.faults == ()


def test_checkers_are_the_protocols_unless_others_are_chosen(registry: Registry) -> None:
    def names(*overrides: str) -> list[str]:
        return [
            checker.name for checker, _ in compose(["experiment=raft_3nodes", *overrides], registry=registry).checkers
        ]

    assert names() == names("checker=auto") == ["linearizability"]
    assert names("checker=none") == []
    assert names("checker=[echo,linearizability]") == ["echo", "linearizability"]


def test_the_settings_of_the_protocols_own_checker_need_no_choice(registry: Registry) -> None:
    composed = compose(["experiment=raft_3nodes", "checker.linearizability.budget=7"], registry=registry)
    assert composed.checkers[0][1].budget == 7


def test_a_state_machine_that_the_protocol_has_no_use_for_is_left_out(registry: Registry) -> None:
    assert compose(["experiment=hello", "state_machine=counter"], registry=registry).config["state_machine"] is None


def test_what_was_composed_composes_to_itself(registry: Registry, tmp_path: Path) -> None:
    first = compose(["experiment=raft_wan", "faults=crash", "seed=7", "run.dir=runs/x"], registry=registry)
    import yaml

    body = {key: value for key, value in first.config.items() if key != "experiment"}
    groups = {"protocol": "raft", "network": "wan_aws", "faults": "crash", "engine": "ray", "workload": "kv"}
    listed = [{f"override /{group}": option} for group, option in groups.items()]
    user_file(tmp_path, "experiment/again", GLOBAL + yaml.safe_dump({"defaults": listed, **body}))
    second = compose(["experiment=again"], str(tmp_path), registry)
    assert second.config == {**first.config, "experiment": "again"}


def test_a_config_is_plain_data_with_every_setting(registry: Registry) -> None:
    config = compose(["experiment=raft_3nodes"], registry=registry).config
    assert config["protocol"]["name"] == "raft"
    assert config["protocol"]["session"] == {"retry": "500ms", "backoff": "20ms"}
    assert config["engine"]["transport"] == "mesh"
    assert config["trace"] == {"level": "full"}
    assert config["workload"]["timeout"] == "5s"


def test_composing_leaves_nothing_behind(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    compose(["experiment=hello"], registry=registry)
    before = set(ConfigStore.instance().repo)
    compose(["experiment=raft_wan"], registry=registry)
    assert set(ConfigStore.instance().repo) == before
    assert "protocol" not in before
    assert not GlobalHydra.instance().is_initialized()
    assert list(tmp_path.iterdir()) == []


def test_paths_may_hold_any_sign(registry: Registry) -> None:
    def folder(text: str) -> Path:
        return compose(["experiment=hello", f"run.dir={text}"], registry=registry).experiment.run_dir

    assert folder("/tmp/a b,(c)") == Path("/tmp/a b,(c)")
    assert folder("it's/here") == Path("it's/here")
    assert folder("~/runs") == Path.home() / "runs"


# A user's own folder and plugins.


def test_a_users_folder_adds_experiments_and_variants_of_plugins(registry: Registry, tmp_path: Path) -> None:
    user_file(tmp_path, "network/atlantic", "defaults: [wan_aws]\nregions: [us-east-1, eu-west-1]\n")
    user_file(tmp_path, "experiment/mine/first", RAFT + "  - override /network: atlantic\nnodes: 4\n")
    composed = compose(["experiment=mine/first"], str(tmp_path), registry)
    assert (composed.experiment.network.name, len(composed.experiment.nodes)) == ("wan_aws", 4)
    assert composed.experiment.network_config.regions == ("us-east-1", "eu-west-1")
    assert "/" not in composed.experiment.run_dir.name


def test_a_users_file_does_not_silently_stand_behind_ours(registry: Registry, tmp_path: Path) -> None:
    user_file(tmp_path, "experiment/hello", RAFT)
    assert "has the name of one of Synod's own configs" in refusal(registry, "experiment=hello", config_dir=tmp_path)


def test_a_loose_plugin_is_loaded_from_the_command_line_or_the_experiment(tmp_path: Path) -> None:
    plugin = write_plugin(tmp_path, PROTOCOL.replace('operations=("ask",)', 'operations=("echo",)'))
    direct = compose(["protocol=oracle", "workload=echo", f"plugins.path={plugin}"])
    assert direct.experiment.plugin_paths[-1] == str(tmp_path)
    assert direct.experiment.name == "oracle"
    body = f"defaults:\n  - override /protocol: oracle\n  - override /workload: echo\nplugins: {{path: ['{plugin}']}}\n"
    user_file(tmp_path, "experiment/asking", GLOBAL + body)
    assert compose(["experiment=asking"], str(tmp_path)).experiment.protocol.name == "oracle"


def test_a_broken_plugin_that_is_selected_says_why(tmp_path: Path) -> None:
    write_plugin(tmp_path, "import no_such_module_anywhere", "oracle_of_doom")
    with pytest.raises(ConfigError) as raised:
        compose(["protocol=doom", f"plugins.path={tmp_path}"])
    assert "oracle_of_doom: ModuleNotFoundError" in str(raised.value)


# What a protocol needs of its nodes.

VOTERS = PROTOCOL.replace("ProtocolSpec,", "ProtocolSpec, Config, QuorumConfig,").replace(
    "@hookimpl",
    "class Council(Config):\n    quorums: QuorumConfig = QuorumConfig()\n\n@hookimpl",
).replace("summary=", "config=Council, summary=").replace('"ask"', '"echo"')  # fmt: skip


@pytest.mark.parametrize(
    ("quorums", "complaint"),
    [
        ("{kind: flexible, phase1: 2, phase2: 2}", "phase 1 may end with n3, n4 and phase 2 with n1, n2, which share"),
        ("{kind: flexible, phase2: 9}", "phase2=9 of 5 nodes can never be a quorum"),
        ("{kind: grid, rows: 2, columns: 2}", "5 nodes do not fill a grid of 2x2"),
        ("{kind: weighted, weights: {n7: 3}}", "there is no node 'n7' among those that vote"),
        ("{phase1: 4}", "phase1=4 is for kind=flexible, not for kind=majority"),
    ],
)
def test_quorums_that_do_not_fit_the_nodes_are_refused_before_the_run(
    tmp_path: Path, quorums: str, complaint: str
) -> None:
    plugin = write_plugin(tmp_path, VOTERS)
    base = ["protocol=oracle", "nodes=5", f"plugins.path={plugin}", "workload=echo"]
    with pytest.raises(ConfigError, match="command line: protocol") as raised:
        compose([*base, f"protocol.quorums={quorums}"])
    assert complaint in str(raised.value)


def test_what_is_wrong_with_quorums_is_told_under_their_key(tmp_path: Path) -> None:
    body = "defaults:\n  - override /protocol: oracle\n  - override /workload: echo\n"
    body += f"plugins: {{path: ['{write_plugin(tmp_path, VOTERS)}']}}\nprotocol:\n  quorums: "
    for quorums, complaint in (
        ("{kind: flexible, phase2: 9}", "protocol.quorums: phase2=9 of 3 nodes"),
        ("{kind: weighted, weights: {n7: 3}}", "protocol.quorums.weights: there is no node 'n7'"),
    ):
        user_file(tmp_path, "experiment/council", f"{GLOBAL}{body}{quorums}\n")
        with pytest.raises(ConfigError, match=f"council.yaml: {complaint}"):
            compose(["experiment=council"], str(tmp_path))


def test_quorums_are_set_key_by_key(tmp_path: Path) -> None:
    plugin = write_plugin(tmp_path, VOTERS)
    base = ["protocol=oracle", "nodes=5", f"plugins.path={plugin}", "workload=echo"]
    flat = ["protocol.quorums.kind=flexible", "protocol.quorums.phase1=4", "protocol.quorums.phase2=2"]
    quorums = compose([*base, *flat]).experiment.protocol_config.quorums
    assert (quorums.kind, quorums.phase1, quorums.phase2) == ("flexible", 4, 2)
    weighted = compose([*base, "protocol.quorums.kind=weighted", "protocol.quorums.weights={n1: 3}"])
    assert weighted.experiment.protocol_config.quorums.weights == {"n1": 3}
    assert weighted.config["protocol"]["quorums"]["weights"] == {"n1": 3}
    unsafe = compose([*base, *flat, "protocol.quorums.phase1=2", "protocol.quorums.unsafe=true"])
    assert unsafe.experiment.protocol_config.quorums.unsafe


# Mistakes.

MISTAKES: list[tuple[list[str], list[str]]] = [
    ([], ["no protocol is chosen", "Write experiment=NAME (", "hello, "]),
    (["hello"], ["'hello' is not a setting", "Did you mean experiment=hello?"]),
    (["--verbose"], ["'--verbose' is not a setting"]),
    (["=3"], ["is not a setting"]),
    (["experiment=helo"], ["command line: ", "there is no experiment 'helo'. Did you mean 'hello'?"]),
    (["protocol=raff"], ["there is no protocol 'raff'. Did you mean 'raft'?"]),
    (["experiment=hello", "network=wan_awz"], ["there is no network 'wan_awz'. Did you mean 'wan_aws'?"]),
    (["experiment=hello", "engine=sm"], ["Did you mean 'sim'?"]),
    (["experiment=hello", "trace=off"], ["there is no trace 'off'. There are: full, history, none."]),
    (["experiment=hello", "network=null"], ["a value is required"]),
    (["experiment=hello", "protocol={a: 1}"], ["choose one option"]),
    (["experiment=hello", "network=[lan,lossy]"], ["choose one option"]),
    (["experiment=hello", "faults=[crash,crahs]"], ["there is no fault 'crahs'. Did you mean 'crash'?"]),
    (["experiment=hello", "faults=[crash,crash]"], ["crash is chosen twice", "+faults.again={name: crash}"]),
    (["experiment=hello", "netwrok=lan"], ["netwrok=lan: there is no such key. Did you mean 'network'?"]),
    (["experiment=hello", "nodez=3"], ["command line: nodez=3: there is no such key. Did you mean 'nodes'?"]),
    (["experiment=hello", "nodes=0"], ["nodes=0: must be at least 1, not 0"]),
    (["experiment=hello", "clients=0"], ["clients=0: must be at least 1"]),
    (["experiment=hello", "nodes=three"], ["nodes=three: expected a whole number, got 'three'"]),
    (["experiment=hello", "nodes=2.5"], ["expected a whole number, got 2.5"]),
    (["experiment=hello", "nodes=100000000000000000000"], ["must be at most"]),
    (["experiment=hello", "nodes="], ["expected a whole number"]),
    (["experiment=hello", "nodes.x=3"], ["nodes: expected a whole number"]),
    (["experiment=hello", "nodes=3,5"], ["has several values"]),
    (["experiment=hello", "nodes=[1"], ["'nodes=[1' cannot be read"]),
    (["experiment=hello", "duration=150"], ["duration=150: a duration needs a unit: write 150ms or 150s"]),
    (["experiment=hello", "duration=-1s"], ["duration=-1s: a duration cannot be negative"]),
    (["experiment=hello", "duration=0"], ["duration=0: must be more than 0"]),
    (["experiment=hello", "warmup=2s"], ["warmup=2s: a warmup of 2s leaves nothing to measure"]),
    (["experiment=hello", "hydra.run.dir=x"], ["have no effect here", "run.dir"]),
    (["experiment=hello", "run.folder=x"], ["Did you mean 'run.dir'?"]),
    (["experiment=hello", "run=3"], ["run=3: expected keys and values"]),
    (["experiment=hello", "protocol.x=3"], ["protocol.x=3: echo has no settings"]),
    (["experiment=raft_3nodes", "protocol.heartbeat=1s"], ["Did you mean 'heartbeat_interval'?"]),
    (
        ["experiment=raft_3nodes", "protocol.session.rety=1s"],
        ["protocol.session.rety=1s", "Did you mean 'retry'?"],
    ),
    (
        ["experiment=raft_3nodes", "protocol.election_timeout_min=9s"],
        ["command line: protocol: election_timeout_min=9s"],
    ),
    (["experiment=raft_3nodes", "workload.loop=opne"], ["Did you mean 'open'?"]),
    (
        ["experiment=hello", "engine.transport=mash"],
        ["engine.transport=mash: unknown value 'mash'. Did you mean 'mesh'?"],
    ),
    (["experiment=hello", "engine=sim", "engine.transport=mesh"], ["there is no such key", "disk_latency"]),
    (["experiment=hello", "faults.crash.for=1s"], ["faults.crash: crash is not chosen. Add faults=crash."]),
    (
        ["experiment=hello", "faults=crash", "faults.crash.target=n9"],
        ["there is no such node. There are: n1, n2, n3."],
    ),
    (["experiment=hello", "network=wan_aws", "network.regions=[eu-wst-1]"], ["Did you mean 'eu-west-1'?"]),
    (
        ["experiment=hello", "workload=kv"],
        ["needs the operation 'read', which the protocol 'echo' does not have", "Choose workload=echo."],
    ),
    (
        ["experiment=raft_3nodes", "state_machine=counter"],
        ["the state machine 'counter' does not have", "workload=counter"],
    ),
    (
        ["experiment=raft_wan", "protocol=abd"],
        [
            "raft_wan.yaml: protocol.election_timeout_min: there is no such key; "
            "the file sets options of protocol=raft, and protocol=abd was chosen. Leave protocol=abd out",
        ],
    ),
    (
        ["experiment=raft_wan", "network=lan"],
        ["network.regions: there is no such key; the file sets options of network=wan_aws, and network=lan was chosen"],
    ),
    (["experiment=raft_3nodes", "state_machine=none"], ["replicates a state machine, and none is chosen"]),
    (["experiment=hello", "checker=linearizability"], ["names a sequential model"]),
    (["experiment=raft_3nodes", "checker.linearizability.model=kw"], ["unknown model 'kw'"]),
]


@pytest.mark.parametrize(("overrides", "parts"), MISTAKES, ids=[" ".join(overrides) for overrides, _ in MISTAKES])
def test_a_mistake_on_the_command_line_is_one_line_with_a_remedy(
    registry: Registry, overrides: list[str], parts: list[str]
) -> None:
    text = refusal(registry, *overrides)
    for part in parts:
        assert part in text


FILES: list[tuple[str, list[str]]] = [
    (RAFT + "nodes: '3'\n", ["nodes: expected a whole number, got '3'"]),
    (RAFT + "node: 3\n", ["node: there is no such key. Did you mean 'nodes'?"]),
    (
        RAFT + "protocol:\n  heartbeat_interval: 150\n",
        ["protocol.heartbeat_interval: a duration needs a unit"],
    ),
    (RAFT + "protocol:\n  session: {rety: 1s}\n", ["protocol.session.rety: there is no such key"]),
    (RAFT + "  - override /faults: off\n", ["false is not an option. In YAML the bare words off, no"]),
    (
        RAFT + "  - override /faults: crash\nfaults:\n  crash:\n    target: no\n",
        ["faults.crash.target", "In YAML"],
    ),
    (RAFT + "  - override /netwrok: lan\n", ["there is no config group 'netwrok'. Did you mean 'network'?"]),
    (RAFT + "  - override /network: lna\n", ["there is no network 'lna'. Did you mean 'lan'?"]),
    (RAFT + "  - /network: lan\n", ["Write - override /network"]),
    (RAFT + "nodes: ${many}\n", ["many"]),
    (GLOBAL + "defaults: [\n", ["line "]),
    ("nodes: 3\n", ["Write # @package _global_ at its top"]),
    (GLOBAL + "- a\n- b\n", ["holds no keys"]),
    (GLOBAL + "defaults: raft\n", ["defaults is not a list"]),
]


@pytest.mark.parametrize(("text", "parts"), FILES)
def test_a_mistake_in_a_file_is_told_with_the_file(
    registry: Registry, tmp_path: Path, text: str, parts: list[str]
) -> None:
    answer = refusal(registry, "experiment=mine", config_dir=user_file(tmp_path, "experiment/mine", text))
    assert answer.startswith(str(tmp_path / "experiment" / "mine.yaml"))
    for part in parts:
        assert part in answer


def test_a_folder_of_configs_that_is_not_there(registry: Registry, tmp_path: Path) -> None:
    assert "there is no such folder" in refusal(registry, "experiment=hello", config_dir=tmp_path / "nowhere")


# Help.


def test_help_lists_every_group_option_and_key(registry: Registry) -> None:
    text = help_text(registry)
    assert "  clients=10            Number of clients: c1, c2, …\n" in text
    assert all(line == line.rstrip() for line in text.splitlines())
    for word in (
        *GROUPS,
        "hello",
        "raft_wan",
        "wan_aws",
        "strict_spread",
        "nodes=3",
        "run.dir",
        "plugins.path",
    ):
        assert word in text
    assert "protocol.heartbeat_interval=50ms" in text
    assert "faults.crash.for=1s" in text
    assert "engine.transport=mesh" in text


def test_a_composed_run_says_how_it_was_asked_for(registry: Registry) -> None:
    composed: Composed = compose(["experiment=hello", "seed=4"], registry=registry)
    assert composed.overrides == ("experiment=hello", "seed=4")
    assert composed.registry is registry
