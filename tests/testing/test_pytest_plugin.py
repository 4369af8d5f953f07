"""Runs, scenarios and the conformance kit under pytest, in sessions within this one."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

# What sessions within this one load stays loaded: numpy and pyarrow cannot be imported twice.
import framework.engine.sim
import framework.testing.conformance
import framework.testing.scenario
from framework.registry.registry import load
from tests.installing import run as run_command

load()

pytestmark = pytest.mark.long

BIASED = '''"""A protocol that says back what it hears, but for one text in so many that its answer is wrong."""

from framework import Client, Config, Message, Node, NodeId, Ok, Operation, OperationId, ProtocolSpec, handles, hookimpl


class BiasedConfig(Config):
    wrong: str = ""


class Say(Message):
    operation: OperationId
    text: str


class Said(Message):
    operation: OperationId
    text: str


class Speaker(Node):
    @handles(Say)
    def on_say(self, sender: NodeId, say: Say) -> None:
        is_wrong = self.config.wrong and say.text.startswith(self.config.wrong)
        self.send(sender, Said(operation=say.operation, text="" if is_wrong else say.text))


class Listener(Client):
    def invoke(self, operation: Operation) -> None:
        self.send(self.servers[0], Say(operation=operation.id, text=operation.argument))

    @handles(Said)
    def on_said(self, sender: NodeId, said: Said) -> None:
        self.complete(said.operation, Ok(said.text))


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="biased", summary="Says it back.", node=Speaker, client=Listener, config=BiasedConfig,
            operations=("echo",), checkers=("echo",),
        )
    ]
'''

HELLO = 'experiment="hello", overrides=["duration=20ms"]'

SCENARIO = """# Says it back.
cluster protocol=biased workload=echo nodes=1 clients=1
----
n1 started
c1 started

quiet invoke c1 echo x "hello"
deliver Say to n1
----
n1 takes Say(operation=0, text=hello) from c1
  → c1: Said(operation=0, text=hello)
"""


@pytest.fixture(autouse=True)
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where CI or BUILD_NUMBER is set, pytest's summary repeats the whole message of every failure."""
    for variable in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def biased(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with the protocol `biased`, which pytest's ini names."""
    (pytester.path / "biased.py").write_text(BIASED, encoding="utf-8")
    pytester.makeini("[pytest]\nsynod_plugins = biased.py\n")
    return pytester


def marked(pytester: pytest.Pytester, mark: str, function: str = "def test_it(run): pass") -> None:
    pytester.makepyfile(test_it=f"import pytest\n\n@pytest.mark.{mark}\n{function}\n")


def kept(pytester: pytest.Pytester) -> list[str]:
    """The names of the runs whose folders are left."""
    temporary = Path(os.environ["PYTEST_DEBUG_TEMPROOT"])  # which pytester sets
    results = [file for folder in (pytester.path, temporary) for file in folder.rglob("result.json")]
    return sorted(file.parent.name for file in results)


# Runs.


def test_a_test_runs_once_for_each_seed_and_sees_the_run(pytester: pytest.Pytester) -> None:
    marked(
        pytester,
        f"synod({HELLO}, seeds=[3, 17])",
        """def test_it(run):
    assert run.verdict == "valid" and run.reasons == ()
    assert run.seed == run.config["seed"] == run.result["seed"]
    assert run.history.num_rows == run.result["operations"]["ok"] > 10
    assert run.events.num_rows and run.folder.is_dir()
""",
    )
    result = pytester.runpytest_inprocess("-v", "--strict-markers")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*::test_it?seed=3? PASSED*", "*::test_it?seed=17? PASSED*"])
    assert kept(pytester) == []


def test_a_run_that_is_not_valid_fails_the_test_and_says_how_to_see_it_again(biased: pytest.Pytester) -> None:
    arguments = 'overrides=["protocol=biased", "protocol.wrong=a", "workload=echo", "duration=20ms"]'
    marked(biased, f"synod({arguments}, seeds=4)", "def test_it(run): raise NotImplementedError")
    result = biased.runpytest_inprocess("--synod-seed=2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*test_it[[]seed=2[]]*",
            "biased on sim, seed 2: invalid — echo: an answer is not what was said",
            "",
            "echo:",
            "  c* said 'a*' and heard '' (operation *)",
            "",
            "to run it again:",
            "  python -m framework.run engine=sim protocol=biased protocol.wrong=a workload=echo duration=20ms"
            " plugins.path=biased.py seed=2",
            "  python -m pytest test_it.py::test_it --synod-seed=2",
            "run: *test_it_seed_20",
        ],
        consecutive=True,
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert kept(biased) == ["test_it_seed_20"]

    (command,) = [line for line in result.outlines if line.startswith("  python -m framework.run")]
    again = run_command(*shlex.split(command)[3:], "--quiet", "run.dir=again", cwd=biased.path)
    assert (again.returncode, again.stdout.splitlines()[0]) == (
        1,
        "verdict: invalid — echo: an answer is not what was said",
    )


def test_a_mark_asks_for_another_verdict_or_leaves_it_to_the_test(biased: pytest.Pytester) -> None:
    wrong = 'overrides=["protocol=biased", "protocol.wrong=a", "workload=echo", "duration=100ms"]'
    biased.makepyfile(
        f"""import pytest

@pytest.mark.synod({wrong}, verdict="invalid")
def test_invalid(): pass

@pytest.mark.synod({HELLO}, verdict="invalid")
def test_not_invalid(): pass

@pytest.mark.synod({wrong}, verdict=None)
def test_any(run): assert run.verdict == "invalid" and "not what was said" in run.story
"""
    )
    result = biased.runpytest_inprocess()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["hello on sim, seed 0: valid", "The test is for runs that are invalid."])


def test_a_body_that_fails_keeps_the_run(pytester: pytest.Pytester) -> None:
    marked(pytester, f"synod({HELLO})", "def test_it(run): assert run.seed == 1")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*<run of hello, seed 0: valid>*",
            "to run it again:",
            "  python -m framework.run experiment=hello engine=sim duration=20ms seed=0",
            "  python -m pytest test_it.py::test_it --synod-seed=0",
            "run: *test_it_seed_00",
        ]
    )
    assert kept(pytester) == ["test_it_seed_00"]


def test_the_command_line_says_how_many_seeds(pytester: pytest.Pytester) -> None:
    marked(pytester, f"synod({HELLO}, seeds=range(100, 300))")
    for option, ids in (("--synod-seeds=2", ["seed=100", "seed=101"]), ("--synod-seed=7", ["seed=7"])):
        result = pytester.runpytest_inprocess("--collect-only", "-q", option)
        assert result.outlines[: len(ids) + 1] == [*(f"test_it.py::test_it[{one}]" for one in ids), ""]
    result = pytester.runpytest_inprocess("--synod-seeds=0")
    result.stderr.fnmatch_lines(["*argument --synod-seeds: '0' is not a whole number above 0"])


def test_a_config_folder_stands_at_the_root(pytester: pytest.Pytester) -> None:
    experiment = pytester.mkdir("conf") / "experiment" / "brief.yaml"
    experiment.parent.mkdir()
    experiment.write_text("# @package _global_\ndefaults: [hello]\nduration: 20ms\n")
    folder = pytester.mkdir("deep")
    marked(pytester, 'synod("brief", config_dir="conf")')
    (pytester.path / "test_it.py").rename(folder / "test_it.py")
    pytester.makeini("[pytest]")
    pytester.chdir()
    pytester.runpytest_inprocess("deep").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        ('synod("helo")', "experiment=helo: there is no experiment 'helo'. Did you mean 'hello'?"),
        ('synod("hello", seed=3)', "@pytest.mark.synod has no argument 'seed'. Did you mean 'seeds'?"),
        ('synod("hello", seeds=0)', "seeds=0 names no seeds. Write seeds=200, or seeds=[[]3, 17[]]."),
        ('synod("hello", verdict="vaild")', "there is no verdict 'vaild'. Did you mean 'valid'?"),
        ('synod("hello", engine="sin")', "*there is no engine 'sin'. Did you mean 'sim'?"),
        ('synod("hello", overrides="nodes=3")', "overrides='nodes=3' is not a list of strings. Write overrides=*"),
        ('synod("hello", overrides=["ndoes=3"])', "*ndoes=3*Did you mean 'nodes'?"),
        ('synod("hello", overrides=["seed=3"])', "overrides set seed. Write seeds=[[]SEED[]] in the mark."),
        ('synod("hello", overrides=["protocol=ecko"])', "*no protocol 'ecko'. Did you mean 'echo'?"),
        ('synod_conformance("ecko")', "protocol=ecko: there is no protocol 'ecko'. Did you mean 'echo'?"),
        ('synod_conformance("echo", engine="sim")', "*has no argument 'engine'. Did you mean 'engines'?"),
        ("synod_conformance()", "@pytest.mark.synod_conformance names no protocol. Write *"),
    ],
)
def test_a_mistake_in_a_mark_is_one_line_at_collection(pytester: pytest.Pytester, mark: str, told: str) -> None:
    marked(pytester, mark)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"test_it.py::test_it: {told}"])
    result.stdout.no_fnmatch_line("*framework/*.py:*")


def test_an_argument_without_its_mark_says_what_to_write(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_run(run): pass\n\ndef test_check(check): pass")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            'run: the test has no mark. Write @pytest.mark.synod(experiment="NAME") above it.',
            'check: the test has no mark. Write @pytest.mark.synod_conformance("PROTOCOL") above it.',
        ]
    )


# Scenarios.


def test_a_scenario_file_is_a_test(biased: pytest.Pytester) -> None:
    folder = biased.mkdir("tests")
    (folder / "says_it.scenario").write_text(SCENARIO, encoding="utf-8")
    (folder / "notes.txt").write_text("nothing to do with it")
    result = biased.runpytest_inprocess("-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["tests/says_it.scenario::scenario PASSED*"])


def test_a_difference_is_shown_as_a_diff_and_written_on_demand(biased: pytest.Pytester) -> None:
    script = biased.path / "says_it.scenario"
    script.write_text(SCENARIO.replace("Said(operation=0, text=hello)", "Said(operation=0, text=hallo)"), "utf-8")
    result = biased.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "says_it.scenario:7:",
            'quiet invoke c1 echo x "hello"',
            "deliver Say to n1",
            "----",
            " n1 takes Say(operation=0, text=hello) from c1",
            "-  → c1: Said(operation=0, text=hallo)",
            "+  → c1: Said(operation=0, text=hello)",
            "",
            "- expected by the file, + actual output. To accept the actual output: python -m pytest says_it.scenario --synod-rewrite",
        ],
        consecutive=True,
    )
    biased.runpytest_inprocess("--synod-rewrite").assert_outcomes(passed=1)
    assert script.read_text("utf-8") == SCENARIO
    biased.runpytest_inprocess().assert_outcomes(passed=1)


def test_what_is_no_script_is_one_line(pytester: pytest.Pytester) -> None:
    (pytester.path / "half.scenario").write_text("fire n1 tick\n")
    (pytester.path / "binary.scenario").write_bytes(b"\xff\xfe")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["binary.scenario: cannot be read *", "half.scenario:1: 'fire n1 tick' has no answer. Write ---- under *"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_handler_that_raises_is_shown_with_the_block(pytester: pytest.Pytester) -> None:
    (pytester.path / "biased.py").write_text(BIASED.replace("say.text.startswith", "say.txet.startswith"), "utf-8")
    pytester.makeini("[pytest]\nsynod_plugins = biased.py\n")
    (pytester.path / "says_it.scenario").write_text(SCENARIO.replace("biased", "biased protocol.wrong=a"), "utf-8")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "Traceback (most recent call last):",
            "  … * more",
            '  File "*biased.py", line *, in on_say',
            "AttributeError: 'Say' object has no attribute 'txet'",
            'at says_it.scenario:7: quiet invoke c1 echo x "hello" ; deliver Say to n1',
        ]
    )


def test_several_plugins_stand_in_one_list(biased: pytest.Pytester) -> None:
    other = biased.path / "in a folder" / "other.py"
    other.parent.mkdir()
    other.write_text(BIASED.replace('"biased"', '"other"'), encoding="utf-8")
    biased.makeini('[pytest]\nsynod_plugins = biased.py "in a folder"\n')
    marked(biased, 'synod(overrides=["protocol=other", "workload=echo", "duration=20ms"], verdict="invalid")')
    result = biased.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    (command,) = [line for line in result.outlines if line.startswith("  python -m framework.run")]
    assert "plugins.path=[biased.py,'in a folder']" in shlex.split(command)
    again = run_command(*shlex.split(command)[3:], "--quiet", "run.dir=again", cwd=biased.path)
    assert again.returncode == 0, again.stderr


def test_scenario_files_may_be_called_otherwise(biased: pytest.Pytester) -> None:
    folder = biased.mkdir("stories")
    (folder / "says_it.txt").write_text(SCENARIO, encoding="utf-8")
    (biased.path / "notes.txt").write_text("nothing to do with it")
    biased.makeini("[pytest]\nsynod_plugins = biased.py\nsynod_scenarios = stories/*.txt\n")
    biased.runpytest_inprocess().assert_outcomes(passed=1)


# Conformance.


def test_a_mark_is_an_item_for_each_check(biased: pytest.Pytester) -> None:
    marked(biased, 'synod_conformance("biased", engines=["sim"])', "def test_it(check): assert check.name")
    result = biased.runpytest_inprocess("-v", "-k", "plain or total")
    result.assert_outcomes(passed=2, deselected=3)
    result.stdout.fnmatch_lines(["*::test_it?biased-handlers_are_total? PASSED*"])


def test_a_check_that_fails_says_how_to_see_it_again(biased: pytest.Pytester) -> None:
    overrides = 'overrides=["protocol.wrong=a", "duration=300ms"]'
    marked(biased, f'synod_conformance("biased", {overrides}, engines=["sim"])', "def test_it(): pass")
    result = biased.runpytest_inprocess("-k", "total")
    result.assert_outcomes(failed=1, deselected=4)
    result.stdout.fnmatch_lines(
        [
            "biased-handlers_are_total: seed *: invalid — echo: an answer is not what was said",
            "  python -m framework.run engine=sim * protocol=biased protocol.wrong=a *seed=*",
            "runs: *handlers_are_total0",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*During handling*")


def test_a_check_that_cannot_be_made_is_one_line(pytester: pytest.Pytester) -> None:
    marked(pytester, 'synod_conformance("echo", overrides=["trace=none"], engines=["sim"])', "def test_it(): pass")
    result = pytester.runpytest_inprocess("-k", "digest")
    result.assert_outcomes(failed=1, deselected=4)
    result.stdout.fnmatch_lines(["echo-digest_*: digest_*: cannot be made with trace=none: it reads what a run with *"])
    result.stdout.no_fnmatch_line("*Traceback*")


# The session.


@pytest.mark.long
def test_the_items_are_spread_over_processes(biased: pytest.Pytester) -> None:
    (biased.path / "says_it.scenario").write_text(SCENARIO, encoding="utf-8")
    wrong = 'overrides=["protocol=biased", "protocol.wrong=ab", "workload=echo", "duration=20ms"]'
    biased.makepyfile(
        f"""import pytest

@pytest.mark.synod({HELLO}, seeds=5)
def test_right(run): pass

@pytest.mark.synod({wrong}, seeds=9)
def test_wrong(run): pass
"""
    )
    result = biased.runpytest_subprocess("-n", "2", "-v")
    failed = [line for line in result.outlines if line.startswith("FAILED ")]
    result.assert_outcomes(passed=15 - len(failed), failed=len(failed))
    assert failed and all("::test_wrong[seed=" in line for line in failed)
    assert {line.split()[0] for line in result.outlines if line.startswith("[gw")} == {"[gw0]", "[gw1]"}
    assert len(kept(biased)) == len(failed)


def test_a_session_without_these_tests_loads_nothing_heavy() -> None:
    script = """
import sys
import framework.testing.pytest_plugin
heavy = {"ray", "pyarrow", "omegaconf", "hydra", "numpy", "pluggy.fake", "msgspec", "yaml"} & sys.modules.keys()
ours = {name for name in sys.modules if name.startswith("framework.")}
print(sorted(heavy), sorted(ours))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    ours = ["framework.core", "framework.core.errors", "framework.testing", "framework.testing.pytest_plugin"]
    assert ended.stdout == f"[] {ours}\n"


def test_it_is_declared_as_an_entry_point() -> None:
    import tomllib

    declared = tomllib.loads((Path(framework.__file__).parents[1] / "pyproject.toml").read_text())
    assert declared["project"]["entry-points"]["pytest11"] == {"synod": "framework.testing.pytest_plugin"}
