"""What a person can get wrong: one line on stderr that says where, what and what to do; exit code 2; nothing left behind."""

from __future__ import annotations

import json
import shlex
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.engine.ray import runtime
from framework.run.__main__ import main
from tests.installing import python, run

pytestmark = pytest.mark.long

HELLO = "experiment=hello engine=sim duration=100ms"
RAFT = "experiment=raft_5nodes engine=sim duration=100ms"
TRAP = "In YAML the bare words off, no, on and yes are booleans: put quotes around the word."

UNKNOWN = [
    ("experiment=helo engine=sim", "experiment=helo: there is no experiment 'helo'. Did you mean 'hello'?"),
    (f"{HELLO} engine=simm", "engine=simm: there is no engine 'simm'. Did you mean 'sim'?"),
    (f"{HELLO} faults=crsh", "faults=crsh: there is no fault 'crsh'. Did you mean 'crash'?"),
    (f"{HELLO} trace=ful", "trace=ful: there is no trace 'ful'. Did you mean 'full'?"),
    (f"{HELLO} checker=linearisability", "Did you mean 'linearizability'?"),
    (f"{HELLO} scheduling=packed", "Did you mean 'pack'?"),
    (f"{RAFT} state_machine=coutner", "there is no state machine 'coutner'. Did you mean 'counter'?"),
    (f"{HELLO} node=3", "node=3: there is no such key. Did you mean 'nodes'?"),
    (f"{HELLO} run.dri=x", "run.dri=x: there is no such key. Did you mean 'run.dir'?"),
    (f"{HELLO} workload.lenght=3", "workload.lenght=3: there is no such key. Did you mean 'length'?"),
    (f"{RAFT} protocol.election_timeout=1s", "Did you mean 'election_timeout_min'?"),
    (f"{HELLO} faults=crash faults.crash.taget=n1", "Did you mean 'target'?"),
    (f"{HELLO} faults=crash faults.crash.target=n9", "there is no such node. There are: n1, n2, n3."),
    (f"{HELLO} faults=loss faults.loss.links=n1-n2", "faults.loss.links=n1-n2: is not a link. Write n1:n2."),
    (f"{HELLO} faults=loss 'faults.loss.links=\"n1 -> n2\"'", "is not a link. Write n1:n2."),
    (f"{HELLO} faults=loss faults.loss.links=n1:n1", "a node has no link to itself. Write n1:n3."),
    (f"{HELLO} engine.name=simm", "engine.name=simm: there is no engine 'simm'. Did you mean 'sim'?"),
    (f"{HELLO} faults.crash.down=1s", "faults.crash: crash is not chosen. Add faults=crash."),
    (f"{HELLO} --quite", "unknown flag --quite. Did you mean '--quiet'?"),
]

UNFIT = [
    (f"{HELLO} nodes=three", "nodes=three: expected a whole number, got 'three'"),
    (f"{HELLO} nodes=2.5", "nodes=2.5: expected a whole number, got 2.5"),
    (f"{HELLO} nodes=true", "nodes=true: true is not a whole number"),
    (f"{HELLO} nodes=", "nodes=: expected a whole number, got ''"),
    (f"{HELLO} nodes.x=3", "nodes: expected a whole number, got {'x': 3}"),
    (f"{HELLO} nodes=0", "nodes=0: must be at least 1, not 0"),
    (f"{HELLO} spares=2", "spares=2: spares would never run: protocol echo cannot add nodes"),
    (
        f"{HELLO} faults=chaos 'faults.chaos.kinds={{add_node: 1}}'",
        "needs add_node, which protocol echo does not support",
    ),
    (
        f"{RAFT} protocol=multipaxos faults=add_node",
        "faults=add_node: needs add_node, which protocol multipaxos does not support",
    ),
    (
        f"{HELLO} nodes=2 faults=clock",
        "faults.clock.target=random_minority: fewer than half of 2 means no node. Write nodes=3, or random.",
    ),
    (
        f"{RAFT} faults=chaos 'faults.chaos.disk=[slow,fulll]'",
        "faults.chaos.disk.1: unknown value 'fulll'. Did you mean 'full'?",
    ),
    (f"{RAFT} faults=chaos 'faults.chaos.disk=[]'", "exclude the kind with kinds.disk=0"),
    (
        "experiment=raft_chaos nodes=2 'faults.chaos.kinds={crash: 1,pause: 1,partition: 0,loss: 0,duplicate: 0,reorder: 0,"
        "delay: 0,clock: 0,disk: 0}'",
        "leave nothing to draw: 2 nodes are too few for crash, pause, with max_down=-1. Write nodes=3",
    ),
    (f"{RAFT} faults=chaos nodes=1 +faults.chaos.kinds.partition=1", "takes at least 2 nodes, and there are 1"),
    (f"{RAFT} protocol.prevote=off", "protocol.prevote=off: expected true or false, got 'off'. The default is true."),
    (f"{HELLO} nodes=-3", "nodes=-3: must be at least 1, not -3"),
    (f"{HELLO} clients=0", "clients=0: must be at least 1, not 0"),
    (f"{HELLO} workload.rate=-1", "workload.rate=-1: must be more than 0.0, not -1"),
    (f"{HELLO} workload.loop=opn", "workload.loop=opn: unknown value 'opn'. Did you mean 'open'?"),
    (f"{HELLO} network=lossy network.loss=2", "network.loss=2: must be at most 1.0, not 2"),
    (f"{HELLO} network.latency=0", "a link without delay would stop simulated time"),
    (f"{HELLO} duration=150", "duration=150: a duration needs a unit: write 150ms or 150s, not 150"),
    (f"{HELLO} duration=150sec", "write a number and one of ns, us, ms, s, m, h, as in 150ms"),
    (f"{HELLO} duration=-1s", "duration=-1s: a duration cannot be negative, as -1s is"),
    (f"{HELLO} duration=0", "duration=0: must be more than 0"),
    (f"{HELLO} warmup=100ms", "a warmup of 100ms leaves nothing to measure in a duration of 100ms"),
    (f"{HELLO} warmup=1s", "Make it shorter than the duration."),
]

CRASH = "experiment=hello engine=sim duration=10s faults=crash"
STEP = "{at: 9s, fault: crash}"
NEVER = "can never happen: from {} on there are no faults (duration less quiet). Let it begin sooner"
LATE = [
    (f"{CRASH} faults.crash.at=100s", f"faults.crash.at=100s: {NEVER.format('9s')}"),
    (f"{CRASH} faults.crash.at=9s faults.crash.every=2s", f"faults.crash.at=9s: {NEVER.format('9s')}"),
    (f"{CRASH} faults.crash.at=5s quiet=6s", f"faults.crash.at=5s: {NEVER.format('4s')}"),
    (
        f"{CRASH} faults=chaos faults.chaos.at=8500ms",
        "faults.chaos.at=8500ms: leaves a swarm no time: it takes more than 9050ms, and faults end after 9s (duration less "
        "quiet). Make duration longer, or quiet or at shorter.",
    ),
    (
        "experiment=raft_chaos duration=1800ms",
        "faults.chaos.at=300ms: leaves a swarm no time: it takes more than 850ms, and faults end after 800ms",
    ),
    (
        f"{CRASH} faults=schedule 'faults.schedule.steps=[{STEP}]'",
        f"faults.schedule.steps.0.at=9s: {NEVER.format('9s')}",
    ),
]

UNFITTING = [
    (
        f"{HELLO} workload=kv",
        "needs the operation 'read', which the protocol 'echo' does not have; it has: echo. Choose workload=echo.",
    ),
    (f"{RAFT} workload=counter", "which the state machine 'kv' does not have"),
    (f"{RAFT} workload=counter", "Choose state_machine=counter or workload="),
    (f"{RAFT} state_machine=none", "replicates a state machine, and none is chosen. There are: counter, kv"),
    ("engine=sim", "no protocol is chosen. Write experiment=NAME (abd_5nodes, "),
    (f"{HELLO} protocol=null", "protocol=null: a value is required"),
    (f"{HELLO} nodes=3,5", "has several values, but this is a single run"),
    (f"{HELLO} --multi", "unknown flag --multi. Did you mean '--multirun'?"),
    (f"{HELLO} -m nodes=0", "nodes=0: must be at least 1, not 0"),
    (f"{HELLO} nodes", "'nodes' has no value. Write nodes=VALUE."),
    ("hello", "Did you mean experiment=hello?"),
    (f"{HELLO} hydra.run.dir=x", "The run's folder is run.dir."),
    (f"{HELLO} --config-dir nowhere", "there is no such folder"),
    (f"{HELLO} --cfg all", "--cfg all is not known. Write --cfg job."),
    (
        "experiment=hello run.dir=mine engine.address=nowhere",
        "'nowhere' is not an address. Write HOST:PORT, auto or null.",
    ),
    ("experiment=hello run.dir=mine engine.address=ray://there:10001", "Run on a machine of the cluster"),
    ("experiment=hello run.dir=mine scheduling=strict_spread", "3 node actors need as many machines"),
]

FOLDERS = [
    (f"{HELLO} run.dir=file", "file: is a file. Choose a folder with run.dir=FOLDER."),
    (f"{HELLO} run.dir=file/run", "file/run: cannot be written (Not a directory)"),
    (f"{HELLO} run.dir=taken", "taken: holds a run already (result.json)"),
    (f"{HELLO} run.dir=", "'' is not a folder name. Write run.dir=runs/mine."),
    (f"{HELLO} plugins.path=nowhere", "there is no plugin at "),
    (f"{HELLO} plugins.path=taken", "holds no Python file. Name the folder of the plugins."),
]

DIGITS, OPEN, CLOSED = "1" * 5_000, "[" * 20_000, "[" * 300 + "]" * 300
ENDLESS = [
    ([f"seed={DIGITS}"], "holds a number that is too long. Write 1,000 digits or less."),
    ([f"duration={DIGITS}s"], "holds a number that is too long. Write 1,000 digits or less."),
    ([f"x{DIGITS}=1"], "is not a setting. A key has at most 200 characters."),
    ([f"nodes={OPEN}"], "cannot be read. Nest 50 brackets or less."),
    ([f"nodes={CLOSED}"], "cannot be read. Nest 50 brackets or less."),
    (
        ["workload.timeout=" + "1" * 50 + "s"],
        "a duration of 51 characters is not a duration: write a number and a unit, as in 150ms",
    ),
    (["workload.mix=\udcff"], "'workload.mix=\\udcff' cannot be read."),
    (["\udcffx=1"], "'\\udcffx=1' cannot be read."),
    (["experiment=\udcff"], "'experiment=\\udcff' cannot be read."),
    (["--config-dir", "\udcff"], "--config-dir \\udcff: there is no such folder."),
    (["plugins.path=\udcff"], "plugins.path: there is no plugin at "),
    (["plugins.path=\ud800"], "plugins.path=\\ud800: is not a valid path. Write plugins.path=FOLDER."),
    (["run.dir=\ud800"], "run.dir='\\ud800': '\\ud800' is not a valid path. Choose another."),
    (["--\udcff"], "unknown flag --\\udcff."),
]
"""Words of the command line that no shell splits: numbers and brackets without end, bytes that are no UTF-8."""

ENDLESS_FILES = {
    "digits": (f"nodes: {DIGITS}\n", "cannot be read: Exceeds the limit (4300 digits) for integer string conversion"),
    "brackets": (
        f"nodes: {OPEN}{OPEN.replace('[', ']')}\n",
        "cannot be read: it is nested too deeply. Nest a few levels.",
    ),
    "levels": ("".join(f"{'  ' * level}a:\n" for level in range(900)), "cannot be read: it is nested too deeply."),
    "path": ('plugins:\n  path: "\\ud800"\n', "plugins.path=\\ud800: is not a valid path."),
    "text": (
        'workload:\n  loop: "\\ud800"\n',
        "workload.loop: '\\ud800' is not valid Unicode. Write it in UTF-8.",
    ),
    "bytes": (b"title: \xff\n", "cannot be read: 'utf-8' codec can't decode byte 0xff"),
}

ECHO_AGAIN = """
from framework import ProtocolSpec, hookimpl
from plugins.protocols.echo import EchoClient, EchoNode

@hookimpl
def register_protocols():
    return [ProtocolSpec(name="echo", node=EchoNode, client=EchoClient, summary="Again.")]
"""
UNHANDLED = """
from framework import Client, Message, Node, ProtocolSpec, hookimpl

class Lost(Message):
    number: int

class Deaf(Node):
    pass

class Mute(Client):
    def invoke(self, operation):
        pass

@hookimpl
def register_protocols():
    return [ProtocolSpec(name="deaf", node=Deaf, client=Mute, summary="Hears nothing.")]
"""
FATAL = {
    "twice_echo": (
        ECHO_AGAIN,
        "plugins plugins.protocols.echo and twice_echo: both register protocol=echo. Rename one.",
    ),
    "misspelt": (
        ECHO_AGAIN.replace("register_protocols", "register_protocol"),
        "plugin misspelt: there is no hook 'register_protocol'. Did you mean 'register_protocols'?",
    ),
    "unmarked": (ECHO_AGAIN.replace("@hookimpl", ""), "plugin unmarked: register_protocols is not marked as a hook."),
    "idle": ("", "plugin idle: registers nothing. Write @hookimpl above def register_protocols()."),
    "asyncio": (ECHO_AGAIN, "the name 'asyncio' is taken by Python itself. Rename the file."),
    "with-dash": (ECHO_AGAIN, "'with-dash' cannot be imported. Rename it to 'with_dash'."),
}
BROKEN = {
    "no_import": ("import nothing_like_this", "ModuleNotFoundError: No module named 'nothing_like_this'"),
    "no_syntax": ("def half(:", "SyntaxError: invalid syntax"),
    "no_stay": ("import sys; sys.exit('bye')", "SystemExit: bye"),
    "no_list": (
        "from framework import hookimpl\n@hookimpl\ndef register_protocols():\n    return 'x'\n",
        "register_protocols returns str. Return a list of ProtocolSpec.",
    ),
    "deaf": (UNHANDLED, "no handler for Lost (deaf). Write @handles(Lost) in Deaf or Mute, or delete the message."),
}
TRAPS = {
    "group": ("  - override /trace: off\n", f"defaults: override /trace: false is not an option. {TRAP}"),
    "literal": ("workload:\n  loop: off\n", f"workload.loop: false is not one of: closed, open. {TRAP}"),
    "duration": ("duration: no\n", "duration: false is not a duration"),
    "number": ("nodes: on\n", f"nodes: true is not a whole number. {TRAP}"),
}

RAISES = """
from framework import Client, Config, Message, Node, NodeId, Ok, Operation, OperationId, ProtocolSpec, handles, hookimpl

class RaisesConfig(Config):
    at_start: bool = False

class Ask(Message):
    operation: OperationId

class Answer(Message):
    operation: OperationId

class Raises(Node):
    config: RaisesConfig

    def on_start(self) -> None:
        if self.config.at_start and self.id == "n2":
            raise LookupError("no start")

    @handles(Ask)
    def on_ask(self, sender: NodeId, ask: Ask) -> None:
        if ask.operation > 20:
            raise ArithmeticError("enough")
        self.send(sender, Answer(operation=ask.operation))

class Asks(Client):
    def invoke(self, operation: Operation) -> None:
        self.send(self.servers[0], Ask(operation=operation.id))

    @handles(Answer)
    def on_answer(self, sender: NodeId, answer: Answer) -> None:
        self.complete(answer.operation, Ok(None))

@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="raises", summary="Raises.", node=Raises, client=Asks, config=RaisesConfig,
            operations=("echo",), checkers=("echo",),
        )
    ]
"""
RAY = pytest.param("engine=ray", marks=pytest.mark.ray)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder but for a file and a run that stand in the way; what was imported from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "file").write_text("")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "result.json").write_text("{}")
    yield
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


def refused(words: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line that holds `says`, exit code 2, and the folder as it was."""
    before = files()
    assert main(shlex.split(words)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert one_line(shown.err, says)
    assert files() == before


def one_line(text: str, says: str) -> bool:
    assert says in text, text
    assert text.count("\n") == 1 and text.endswith("\n"), text
    return "Traceback" not in text


def files() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*") if "__pycache__" not in path.parts)


def plugin(name: str, text: str) -> str:
    Path(f"{name}.py").write_text(text)
    return f"plugins.path={name}.py"


@pytest.mark.parametrize(("words", "says"), [*UNKNOWN, *UNFIT, *LATE, *UNFITTING, *FOLDERS])
def test_a_mistake_is_one_line_that_says_what_to_do(words: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(words, says, capsys)


@pytest.mark.parametrize(("words", "says"), ENDLESS)
def test_a_word_without_end_or_half_a_character_is_one_line_of_bounded_length(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files()
    assert main([*HELLO.split(), *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and len(shown.err) < 500
    assert one_line(shown.err, says)
    assert files() == before


@pytest.mark.parametrize("name", ENDLESS_FILES)
def test_a_file_with_a_value_without_end_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, says = ENDLESS_FILES[name]
    folder = Path("own/experiment")
    folder.mkdir(parents=True)
    head = b"# @package _global_\ndefaults:\n  - override /protocol: echo\n  - override /workload: echo\n"
    (folder / "odd.yaml").write_bytes(head + (text if isinstance(text, bytes) else text.encode()))
    refused("experiment=odd engine=sim --config-dir own", says, capsys)


def test_a_folder_whose_name_is_no_utf_8_is_a_folder_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    name = "runs\udcff"
    assert main([*HELLO.split(), f"run.dir={name}", "--config-dir", ".", "--cfg", "job"]) == 0
    ended = run(*HELLO.split(), f"run.dir={name}", "--quiet", cwd=Path.cwd())
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "verdict: valid\nrun: runs\\udcff\n", "")
    again = python("-m", "framework.replay", name, cwd=Path.cwd())
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.startswith("drove runs\\udcff again to ")


@pytest.mark.parametrize("name", FATAL)
def test_a_plugin_that_leaves_open_what_is_meant_ends_the_command(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, says = FATAL[name]
    refused(f"{HELLO} {plugin(name, text)}", says, capsys)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_that_is_selected_ends_the_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, says = BROKEN[name]
    refused(f"{HELLO} {plugin(name, text)} protocol={name}", f"plugin {name}: ", capsys)
    refused(f"{HELLO} plugins.path={name}.py protocol={name}", says, capsys)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_that_nobody_selected_is_a_warning(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, says = BROKEN[name]
    assert main([*HELLO.split(), plugin(name, text), "--quiet", "run.dir=mine"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "verdict: valid\nrun: mine\n"
    assert shown.err.startswith(f"warning: plugin {name} is left out: ")
    assert one_line(shown.err, says)


@pytest.mark.parametrize("name", TRAPS)
def test_the_booleans_of_yaml_are_named_in_the_file_that_holds_them(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, says = TRAPS[name]
    folder = Path("own/experiment")
    folder.mkdir(parents=True)
    (folder / "trap.yaml").write_text(
        f"# @package _global_\ndefaults:\n  - override /protocol: echo\n  - override /workload: echo\n{text}"
    )
    refused("experiment=trap engine=sim --config-dir own", f"own/experiment/trap.yaml: {says}", capsys)


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        (
            "/experiment: hello",
            "/experiment: hello: an experiment does not choose another. To start from it, write - hello",
        ),
        ("override /experiment: hello", "override /experiment: hello: an experiment does not choose another."),
        ("circle", "its defaults lists form a cycle."),
    ],
)
def test_an_experiment_that_names_another_wrongly_is_told(
    listed: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("own/experiment")
    folder.mkdir(parents=True)
    (folder / "circle.yaml").write_text(f"# @package _global_\ndefaults:\n  - {listed}\n")
    refused("experiment=circle engine=sim --config-dir own", says, capsys)


def test_an_experiment_may_start_from_another(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("own/experiment")
    folder.mkdir(parents=True)
    (folder / "larger.yaml").write_text("# @package _global_\ndefaults:\n  - hello\nnodes: 7\n")
    assert main(["experiment=larger", "--config-dir", "own", "--cfg", "job"]) == 0
    shown = capsys.readouterr().out
    assert "nodes: 7\n" in shown and "name: echo\n" in shown


def test_a_file_that_is_no_yaml_is_named_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("own/experiment")
    folder.mkdir(parents=True)
    (folder / "half.yaml").write_text("# @package _global_\nnodes: [1\n")
    refused("experiment=half engine=sim --config-dir own", "own/experiment/half.yaml: line 3: expected", capsys)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("experiment=helo", "Did you mean 'hello'?"),
        (f"{HELLO} workload.lenght=3", "Did you mean 'length'?"),
        (f"{HELLO} run.dir=file", "file: is a file."),
    ],
)
def test_so_it_is_for_the_command_itself(words: str, says: str, tmp_path: Path) -> None:
    before = files()
    ended = run(*shlex.split(words), cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert one_line(ended.stderr, says)
    assert files() == before


def test_a_handler_that_raises_is_a_crash_with_its_traceback_and_no_hang(tmp_path: Path) -> None:
    (tmp_path / "raises.py").write_text(RAISES)
    words = (
        "protocol=raises",
        "plugins.path=raises.py",
        "duration=1s",
        "workload.timeout=300ms",
        "--quiet",
        "run.dir=mine",
    )
    ended = run("experiment=hello", "engine=sim", *words, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (1, "")
    told = "n1 crashed: ArithmeticError: enough in on_ask (raises.py:23)"
    assert ended.stdout == f"verdict: invalid — {told}\nrun: mine\n"
    crash = json.loads(Path("mine/result.json").read_bytes())["crashes"][0]
    assert crash["node"] == "n1"
    assert "raises.py" in crash["traceback"] and 'raise ArithmeticError("enough")' in crash["traceback"]


@pytest.mark.parametrize("engine", ["engine=sim", RAY])
def test_a_node_that_cannot_start_is_a_crash_with_its_traceback_and_no_hang(engine: str, tmp_path: Path) -> None:
    (tmp_path / "raises.py").write_text(RAISES)
    words = (
        "plugins.path=raises.py",
        "protocol.at_start=true",
        "duration=1s",
        "workload.timeout=300ms",
        "run.dir=mine",
    )
    ended = run("experiment=hello", "protocol=raises", engine, *words, "--quiet", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "LookupError: no start in on_start" in "".join(json.loads(Path("mine/result.json").read_bytes())["reasons"])


def test_an_address_where_nobody_answers_is_one_line_within_half_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert runtime.PROBE_S + runtime.JOIN_S < 30
    monkeypatch.setattr(runtime, "JOIN_S", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert main(["experiment=hello", f"engine.address=127.0.0.1:{port}"]) == 2
    out, err = capsys.readouterr()
    progress, last = err.splitlines(keepends=True)
    assert (out, progress) == ("", f"hello  joining Ray at 127.0.0.1:{port}\n")
    assert one_line(last, f"engine.address: 127.0.0.1:{port} does not answer as a Ray cluster within 2 s")
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


@pytest.mark.ray
@pytest.mark.parametrize(
    ("word", "stages", "says"),
    [
        ("engine.address=127.0.0.1:1", ["joining"], "no answer from 127.0.0.1:1"),
        (
            "engine.start_timeout=1ms",
            ["starting", "placing", "starting", "stopping"],
            "gave up starting 4 actors: n1 n2 n3 and 1 more did not answer within 1ms. Give them longer, or start fewer.",
        ),
    ],
)
def test_a_start_that_fails_says_in_one_line_at_which_stage(
    word: str, stages: list[str], says: str, tmp_path: Path
) -> None:
    ended = run("experiment=hello", word, "run.dir=mine", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    *progress, last = ended.stderr.splitlines(keepends=True)
    assert [line.split()[1] for line in progress] == stages
    assert one_line(last, says)
    assert not Path("mine").exists()
