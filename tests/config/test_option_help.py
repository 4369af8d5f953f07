"""`--help` behind options and keys: what they can be given, what that means, and what experiments set."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.config.groups import CONF, GROUPS, WORDS, Groups
from framework.config.option_help import help_with, naming_plugins
from framework.core.errors import ConfigError, PluginError
from framework.registry.registry import Registry, load

END = "Every option and key: python -m framework.run --help"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


@pytest.fixture(scope="module")
def groups(registry: Registry) -> Groups:
    return Groups(registry, [CONF])


def parts(groups: Groups, *words: str, width: int = 120) -> list[str]:
    """The parts of the help, without the line that ends it; a part begins where a line is not indented."""
    *lines, end = help_with(words, groups, width).splitlines()
    assert end == END
    found: list[list[str]] = []
    for line in lines:
        if line and not line.startswith(" "):
            found.append([])
        found[-1].append(line)
    return ["\n".join(part).rstrip() for part in found]


def own(folder: Path, **files: str) -> list[Path]:
    """The folders of configs, with one of the user's that holds `files`: `experiment__mine` is `experiment/mine.yaml`."""
    for name, text in files.items():
        file = folder / f"{name.replace('__', '/')}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return [CONF, folder]


def test_an_option_is_what_it_is_and_all_of_its_settings(groups: Groups) -> None:
    (crash,) = parts(groups, "faults=crash")
    assert crash == "\n".join(
        [
            "faults=crash",
            "  Nodes crash and come back.",
            "  from plugins.faults.crash",
            "",
            "  faults.crash.at=1s          duration",
            "      Time of the first injection.",
            "  faults.crash.every=0        duration",
            "      Time from one injection to the next; 0: only one.",
            "  faults.crash.for=1s         duration",
            "      `for`: time until it is undone; 0: only when all faults end.",
            "  faults.crash.target=random  text",
            "      A node's name, a role that nodes report or are given (`leader`, `follower`), `random`, `random_minority`,",
            "      `random_majority`, `all`; `leader:PATH` for the leader of a mounted group. Crashes, pauses and clocks also reach",
            "      clients: `client:c3`, `client:random`, or a role that clients report.",
        ]
    )


def test_several_options_stand_one_below_the_other(groups: Groups) -> None:
    words = ("workload=kv", "faults=[crash,loss]", "+faults=pause", "network=lan,'lossy'", "engine=sim")
    heads = [part.splitlines()[0] for part in parts(groups, *words)]
    assert heads == [
        "workload=kv", "faults=crash", "faults=loss", "faults=pause", "network=lan", "network=lossy", "engine=sim",
    ]  # fmt: skip


def test_a_glob_means_the_options_that_it_matches(groups: Groups) -> None:
    assert [part.splitlines()[0] for part in parts(groups, "network=glob(wan_*)")] == [
        "network=wan_aws",
        "network=wan_gcp",
    ]


def test_nested_settings_stand_in_full(groups: Groups) -> None:
    raft, *_ = parts(groups, "protocol=raft")
    assert "  protocol.session\n      The retries of a client.\n  protocol.session.retry=500ms " in raft
    assert "  protocol.read_mode=log               log | read_index | lease\n      `log`: a read is" in raft
    (kv,) = parts(groups, "workload=kv")
    assert "  workload.mix.read=50           whole number, at least 0\n" in kv


def test_a_replicated_protocol_comes_with_its_state_machine(groups: Groups) -> None:
    _, told, machine = parts(groups, "protocol=raft")
    assert (
        told
        == "protocol=raft replicates a state machine: state_machine=counter | kv | lock | queue | set | stack; kv if none is named."
    )
    assert machine.splitlines()[:2] == ["state_machine=kv", "  A key-value store."]
    assert [part.splitlines()[0] for part in parts(groups, "protocol=raft", "state_machine=counter")] == [
        "protocol=raft",
        "state_machine=counter",
    ]
    assert len(parts(groups, "protocol=echo")) == 1


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_wider_than_the_terminal(width: int, groups: Groups) -> None:
    for group in GROUPS:
        for name in (*groups.options(group), *WORDS.get(group, ())):
            for line in help_with([f"{group}={name}"], groups, width).splitlines():
                assert len(line) <= width or line.startswith("    python -m framework.run"), line
                assert line == line.rstrip()


def test_a_group_is_a_list_of_its_options(groups: Groups) -> None:
    listed, more = parts(groups, "checker")
    assert listed.splitlines()[:3] == [
        "checker=NAME (several: checker=[a,b])",
        "  auto                  The checkers that the protocol names.",
        "  none                  No checkers: the history is not judged.",
    ]
    checkers = groups.registry.names("checker")
    assert listed.splitlines()[3:] == [f"  {name:<20}  {checkers[name].summary}" for name in sorted(checkers)]
    assert "  echo                  Every answer is what was said." in listed
    assert more == "More about one: python -m framework.run checker=total_queue --help"


@pytest.mark.parametrize("word", ["nodes", "nodes=7", "++nodes=7"])
def test_a_key_at_the_top_is_told(word: str, groups: Groups) -> None:
    text = help_with([word, "duration=5s"], groups, 80)
    assert text.startswith(
        "  nodes=3       whole number, 1 to 100000\n      Number of nodes: n1, n2, …\n  duration=10s  duration\n      Time during"
    )


def test_a_key_of_options_stands_below_those_that_have_it(groups: Groups) -> None:
    (both,) = parts(groups, "protocol.read_mode=lease")
    assert both.startswith("protocol=multipaxos, protocol=raft\n  protocol.read_mode=log  log | read_index | lease\n")
    assert len(parts(groups, "network.regions")) == 3
    (one,) = parts(groups, "faults.crash.for")
    assert one.startswith("faults=crash\n  faults.crash.for=1s  duration\n")
    (session,) = parts(groups, "protocol.session")
    assert "protocol.session.retry=500ms" in session and "protocol.session.backoff=20ms" in session


def test_a_key_of_the_option_or_experiment_that_is_named_is_that_ones(groups: Groups) -> None:
    assert parts(groups, "network=wan", "network.regions=[A]") == parts(groups, "network=wan")
    _, key = parts(groups, "experiment=raft_wan", "network.regions")
    assert key.startswith("network=wan_aws\n  network.regions=[us-west-1,")


def test_keys_of_sweeps_and_of_files_and_folders_are_told(groups: Groups) -> None:
    assert "  sweep.timeout=10m  duration\n" in help_with(["sweep.timeout=1m"], groups, 80)
    assert "  run.dir=FOLDER\n      The folder of the run;" in help_with(["run.dir=x"], groups, 80)
    assert "raft_chaos" in help_with(["sweep"], groups, 80)
    (sweep,) = parts(groups, "sweep=raft_chaos")
    assert "    sweep.params.seed=range(0,1000)\n    sweep.timeout=2m" in sweep


def test_an_experiment_is_what_it_chooses_and_sets(groups: Groups) -> None:
    (told,) = parts(groups, "experiment=raft_schedule")
    lines = told.splitlines()
    assert lines[0] == "experiment=raft_schedule"
    assert "    faults=schedule   Faults by the clock, step by step." in lines
    assert "    quiet=2s" in lines
    steps = "faults.schedule.steps=[{at: 2s, fault: partition, kind: isolate, target: leader, for: 1s}, {at: 4s,"
    assert steps in " ".join(told.split())
    assert lines[-1] == "    python -m framework.run protocol=raft state_machine=kv workload=kv faults=schedule --help"


def test_an_experiment_takes_over_from_the_one_that_it_starts_from(tmp_path: Path, registry: Registry) -> None:
    mine = "# @package _global_\n# Rough.\ndefaults: [raft_3nodes, {override /faults: [crash, pause]}]\nclients: 4\n"
    groups = Groups(registry, own(tmp_path, experiment__mine=mine))
    (told,) = parts(groups, "experiment=mine")
    for line in (
        "  Rough.",
        "    protocol=raft     A replicated",
        "    faults=pause      Nodes pause",
        "    nodes=3",
        "    clients=4",
    ):
        assert f"\n{line}" in told
    assert told.count("clients=") == 1


def test_a_file_of_another_group_is_what_it_sets_and_the_plugin_that_it_names(
    tmp_path: Path, registry: Registry
) -> None:
    groups = Groups(registry, own(tmp_path, network__mine="# Mine.\nname: wan\njitter: 0.1\n"))
    file, plugin = parts(groups, "network=mine")
    assert file.startswith("network=mine\n  Mine.\n  from ")
    assert "    network.jitter=0.1" in file and plugin.startswith("network=wan\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["protocol=rafd"], "command line: protocol=rafd: there is no protocol 'rafd'. Did you mean 'raft'?"),
        (["protcol=raft"], "command line: protcol=raft: there is no such key. Did you mean 'protocol'?"),
        (["raft"], "command line: 'raft' is not a key. Did you mean protocol=raft?"),
        (["hello"], "command line: 'hello' is not a key. Did you mean experiment=hello?"),
        (["node"], "command line: node: there is no such key. Did you mean 'nodes'?"),
        (
            ["protocol=raft", "protocol.reed_mode=x"],
            "command line: protocol.reed_mode=x: there is no such key. Did you mean 'protocol.read_mode'?",
        ),
        (["protocol=echo", "protocol.x"], "command line: protocol.x: there is no such key"),
        (["sweep=helo"], "command line: sweep=helo: there is no sweep 'helo'. Did you mean 'hello'?"),
        (["sweep.timeot=2s"], "command line: sweep.timeot=2s: there is no such key. Did you mean 'sweep.timeout'?"),
        (["nodes=["], "command line: 'nodes=[' cannot be read. The brackets do not match."),
    ],
)
def test_a_word_that_means_nothing_is_one_line(words: list[str], line: str, groups: Groups) -> None:
    with pytest.raises((ConfigError, PluginError)) as raised:
        help_with(words, groups, 80)
    assert str(raised.value) == line


def test_an_experiment_whose_file_is_wrong_is_one_line(tmp_path: Path, registry: Registry) -> None:
    files = {
        "experiment__loop": "# @package _global_\ndefaults: [loop]\n",
        "experiment__odd": "# @package _global_\ndefaults: [{override /protocol: rafd}]\n",
        "experiment__torn": "# @package _global_\na: [\n",
    }
    groups = Groups(registry, own(tmp_path, **files))
    for name, says in {"loop": "form a cycle", "odd": "Did you mean 'raft'?", "torn": "line 3: "}.items():
        with pytest.raises(ConfigError, match=says):
            help_with([f"experiment={name}"], groups, 80)


def test_plugins_are_loaded_as_the_words_say() -> None:
    words = ["experiment=a,b", "experiment=mine", "plugins.path=x", "protocol=raft", "experiment=glob(*)"]
    assert naming_plugins(words) == ["plugins.path=x", "experiment=mine"]
