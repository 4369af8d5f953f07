"""From a command line to a planned sweep, and what cannot be planned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from framework.core.errors import SynodError
from framework.run.__main__ import main
from framework.sweep.axes import Choices
from framework.sweep.identity import Identity, identity_of
from framework.sweep.plan import SweepPlan, plan_sweep
from tests.sweep.troubled import write_troubled

HELLO = ("experiment=hello", "engine=sim", "duration=100ms")


def plan(*overrides: str) -> SweepPlan:
    return plan_sweep([*HELLO, *overrides])


def test_one_value_is_fixed_several_are_an_axis_and_seeds_are_apart() -> None:
    found = plan("nodes=1,3", "seed=range(5,8)", "clients=2", "sweep.workers=3")
    assert found.fixed == ("trace=history", *HELLO, "clients=2") and found.asked == (*HELLO, "clients=2")
    assert [axis.key for axis in found.axes] == ["nodes"] and list(found.points.seeds) == [5, 6, 7]
    assert found.settings.workers == 3 and found.name == "hello" and found.engine == "sim"


def test_without_a_seed_it_is_the_experiments_own() -> None:
    assert list(plan("nodes=1,3").points.seeds) == [0]


def test_a_named_sweep_is_overridden_by_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.yaml").write_text(
        "# Mine.\nparams:\n  experiment: hello\n  engine: sim\n  nodes: 1,3\n  seed: range(0,9)\ntimeout: 9s\nworkers: 2\n"
    )
    found = plan_sweep(["sweep=mine", "seed=4,5", "sweep.workers=1"], str(tmp_path))
    assert found.name == "mine" and list(found.points.seeds) == [4, 5]
    assert [(axis.key, list(axis.values)) for axis in found.axes if isinstance(axis, Choices)] == [("nodes", [1, 3])]
    assert found.settings.workers == 1 and str(found.settings.timeout) == "9s"


def test_a_glob_is_over_the_options_of_its_group() -> None:
    (axis,) = plan("network=glob(p*)").axes
    assert isinstance(axis, Choices) and list(axis.values) == ["perfect"]


def test_the_folder_depends_on_what_is_fixed_and_on_the_axes_not_on_their_values() -> None:
    folder = plan("nodes=1,3", "seed=0,1").folder
    assert folder == plan("nodes=3,5", "seed=range(0,100)", "sweep.workers=1").folder
    assert folder not in (plan("seed=0,1").folder, plan("nodes=1,3", "clients=4").folder)
    assert plan("sweep.dir=mine").folder == Path("mine") and folder.name.startswith("sweep-hello-")


def identity(found: SweepPlan) -> Identity:
    return identity_of(found)


def test_a_key_needs_no_composition_and_ignores_where_and_how_a_sweep_runs() -> None:
    one, other = plan("nodes=1,3", "clients=4"), plan("clients=4", "nodes=3,5", "sweep.workers=1", "sweep.keep=none")
    assert identity(one).key((3,), 7) == identity(other).key((3,), 7)
    keys = {identity(one).key(values, seed) for values in ((1,), (3,)) for seed in range(5)}
    assert len(keys) == 10 and all(len(key) == 32 for key in keys)
    assert identity(one).key((3,), 7) != identity(plan("nodes=1,3", "clients=5")).key((3,), 7)


def test_an_experiment_that_no_point_has_is_no_part_of_the_identity(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    mine = tmp_path / "experiment" / "mine.yaml"
    mine.write_text("# @package _global_\ndefaults:\n  - hello\n\nnodes: 1\n")

    def code() -> str:
        return identity(plan_sweep(["experiment=mine", "engine=sim", "clients=1,2"], str(tmp_path))).code

    before = code()
    (tmp_path / "experiment" / "other.yaml").write_text("# @package _global_\n")
    assert code() == before
    mine.write_text(mine.read_text() + "# changed\n")
    assert code() != before


def test_the_order_of_the_axes_is_no_part_of_a_key() -> None:
    one, other = plan("nodes=1,3", "clients=2,4"), plan("clients=2,4", "nodes=1,3")
    assert identity(one).key((3, 2), 0) == identity(other).key((2, 3), 0)


def test_a_plugins_code_is_part_of_the_identity(tmp_path: Path) -> None:
    plugin = write_troubled(tmp_path, "synod_test_identity")
    words = (f"plugins.path={plugin}", "protocol=troubled", "workload=echo", "nodes=1,3")
    before = identity(plan(*words))
    plugin.write_text(plugin.read_text() + "\n# changed\n")
    after = identity(plan(*words))
    assert before.point == after.point and before.code != after.code


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["seed=range(5,5)"],
            "command line: seed=range(5,5): has no values. The end of a range is excluded: range(0,10).",
        ),
        (["nodez=3,5"], "command line: nodez=3: there is no such key. Did you mean 'nodes'?"),
        (["protocol=echo,raftt"], "protocol=raftt: there is no protocol 'raftt'. Did you mean 'raft'?"),
        (["nodes=3,zero"], "command line: nodes=zero: expected a whole number, got 'zero'. The default is 3."),
        (["clients=interval(1,5)"], "clients=interval(…): a grid cannot count its values. Add sweep.sampler=random"),
        (
            ["sweep.sampler=random", "clients=1,2"],
            "sweep.sampler=random: does not say how many draws. Add sweep.samples=100.",
        ),
        (["sweep.samples=9", "clients=1,2"], "sweep.samples=9: a grid draws no samples. Add sweep.sampler=random."),
        (["sweep.sampler=random", "sweep.samples=9"], "nothing varies but the seed"),
        (["sweep.timeot=9s"], "sweep.timeot: there is no such key. Did you mean 'timeout'?"),
        (["sweep.timeout=9"], "sweep.timeout: a duration needs a unit: write 9ms or 9s, not 9"),
        (["sweep.memory=9"], "sweep.memory: '9' is not an amount of memory"),
        (["sweep.timeout=9s,10s"], "a setting of the sweep takes one value"),
        (["sweep.keep=some"], "sweep.keep: unknown value 'some'."),
        (["sweep=nothing"], "sweep=nothing: there is no such sweep."),
        (["sweep=raft_chaoss"], "Did you mean 'raft_chaos'?"),
        (["engine=sim,ray"], "engine=sim,ray: a sweep has one engine. Make a sweep for each."),
        (["run.dir=x"], "run.dir='x': a sweep has many runs. Write sweep.dir=FOLDER."),
        (["nodes=1,3", "nodes=5"], "nodes=5: nodes is written twice. Write all its values in one place."),
        (["seed=-1,2"], "seed=-1,2: -1 is not a seed. Seeds of a sweep are whole numbers from 0 to"),
        (["seed=99999999999999999999"], "seed=99999999999999999999: 99999999999999999999 is not a seed."),
        (["nodes=1", "nodes=3"], "nodes=3: nodes is written twice."),
        (["sweep=raft_chaos,abd_chaos"], "sweep=raft_chaos,abd_chaos: a sweep starts from one. Write sweep=NAME."),
        (["sweep.seeds=10"], "sweep.seeds: there is no such key. Seeds are of the runs: seed=range(0,10)."),
        (["seed=rnge(0,5)"], "There is no function rnge. Did you mean 'range'?"),
        (["seed=range(0,5"], "'seed=range(0,5' cannot be read. The brackets do not match."),
        (["duration=interval(10ms,70ms)"], "Write the numbers without a unit: tag(ms,interval(10,70))."),
        (
            ["workload.rate=tag(cubic,interval(1,2))"],
            "unknown tag 'cubic'. Tags are log and the units ns, us",
        ),
        (["nodes=tag(log,choice(3,5))"], "only intervals are drawn by ratio"),
        (["nodes=interval(1,3)", "sweep.sampler=random", "sweep.samples=2"], "Write nodes=int(interval(1,3))."),
        (["network=glob(zz*)"], "network=glob(zz*): has no values. No option has such a name"),
        (["trace=full"], "trace=full: simulated runs leave no trace, but for those that are kept"),
        (
            ["nodes=1,3", "network=lan,perfect", "clients=2,0"],
            "clients=0: must be at least 1, not 0 (with nodes=1, network=lan, clients=0)",
        ),
        (["seed=a,b"], "seed=a,b: 'a' is not a seed."),
        (["seed=interval(0,9)"], "seeds are counted. Write seed=range(0,1000)."),
        (["nodes=glob(*)"], "only options of a group can be globbed"),
        (["nodes=3,5,3"], "3 is listed twice"),
    ],
)
def test_what_cannot_be_a_sweep_is_one_line(
    words: Sequence[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*HELLO[:1], *words] if any(word.startswith("engine=") for word in words) else [*HELLO, *words]
    assert main(["-m", *given]) == 2
    told = capsys.readouterr()
    assert complaint in told.err and told.err.count("\n") == 1 and told.out == ""


@pytest.mark.parametrize("word", ["seed=1,2,3", "seed=range(0,5)", "sweep=raft_chaos", "sweep.workers=2"])
def test_a_sweep_without_its_flag_says_what_to_write(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*HELLO, word]) == 2
    assert f"For a sweep, write python -m framework.run -m … '{word}'" in capsys.readouterr().err


def test_a_mistake_in_a_named_sweep_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    for content, complaint in (
        ("params: {experiment: hello, nodes: [3, 5]}", "Write nodes: 3,5 for several values, nodes: '[3,5]' for one"),
        (
            "params: {experiment: hello, workload: {rate: 3}}",
            "params.workload: expected what the command line would say",
        ),
        ("params: {experiment: helo}", "experiment=helo: there is no experiment 'helo'. Did you mean 'hello'?"),
        ("params: {experiment: hello, seed: 'range(3,3)'}", "seed=range(3,3): has no values"),
        ("params: {experiment: hello}\ntimeout: soon", "sweep.timeout: 'soon' is not a duration"),
        ("parms: {experiment: hello}", "sweep.parms: there is no such key. Did you mean 'params'?"),
    ):
        (tmp_path / "sweep" / "mine.yaml").write_text(content)
        with pytest.raises(SynodError) as refused:
            plan_sweep(["sweep=mine"], str(tmp_path))
        assert "sweep/mine.yaml: " in str(refused.value) and complaint in str(refused.value)
