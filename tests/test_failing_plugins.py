"""A plugin that raises, or returns what its contract rules out, is named with file and line. No node is blamed for it, so
that the verdict is never invalid; whatever came up once the run was under way leaves its result."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from framework.run.__main__ import main

HELLO = ("experiment=hello", "engine=sim", "duration=300ms", "workload.timeout=50ms", "--quiet", "run.dir=RUN")

CHECKER = """
from framework import CheckerSpec, CheckResult, Verdict, hookimpl

def check(run, config):
    {check}

def validate(models, config):
    {validate}

@hookimpl
def register_checkers():
    return [CheckerSpec(name="mine", summary="Mine.", check=check, validate=validate)]
"""
WORKLOAD = """
from framework import Workload, WorkloadConfig, WorkloadSpec, hookimpl

class Mine(Workload):
    def __init__(self, config):
        {base}
        super().__init__(config)
        self.count = 0
        {init}

    def functions(self):
        {functions}
        return ("echo",)

    def next(self, client, now, rng):
        self.count += 1
        if self.count > 20:
            {next}
        return "echo", None, str(self.count)

    def is_busy(self, client):
        {is_busy}
        return False

@hookimpl
def register_workloads():
    return [WorkloadSpec(name="mine", summary="Mine.", workload=Mine)]
"""
SERVICE = """
from framework import Client, Message, Node, NodeId, Ok, Operation, OperationId, Workload, WorkloadSpec, handles, hookimpl

class Put(Message):
    operation: OperationId

class Done(Message):
    operation: OperationId

class Store(Node):
    @handles(Put)
    def on_put(self, sender: NodeId, put: Put) -> None:
        {service}
        self.send(sender, Done(put.operation))

class Putter(Client):
    def invoke(self, operation: Operation) -> None:
        self.send(self.roles["service"][0], Put(operation.id))

    @handles(Done)
    def on_done(self, sender: NodeId, done: Done) -> None:
        self.complete(done.operation, Ok())

class Mine(Workload):
    def functions(self):
        return ("echo",)

    def next(self, client, now, rng):
        return "echo", None, "x"

@hookimpl
def register_workloads():
    return [WorkloadSpec(name="mine", summary="Mine.", workload=Mine, service=Store, client=Putter)]
"""
PLAN = """
from framework import Config, FaultPlan, FaultSpec, hookimpl

class Mine(FaultPlan):
    def planned_faults(self, name, span, rng):
        {planned_faults}

@hookimpl
def register_faults():
    return [FaultSpec(name="mine", summary="Mine.", plan=Mine, config=Config)]
"""
FAULT = """
from framework import ImpairLinks, Impairment, Fault, FaultSpec, Injection, Crash, hookimpl

CUT = ImpairLinks(7, (("n1", "n2"),), Impairment(loss=0.5))

class Mine(Fault):
    def __init__(self, config):
        {base}
        super().__init__(config)

    def validate_nodes(self, key, nodes, spares):
        {validate_nodes}

    def inject(self, view):
        {inject}
        return Injection((CUT,), targets=("n1",))

    def expected_touched(self, injection, messages):
        {expected_touched}

@hookimpl
def register_faults():
    return [FaultSpec(name="mine", summary="Mine.", fault=Mine)]
"""
NETWORK = """
from framework import Link, NetworkModel, NetworkSpec, hookimpl

class Slow(Link):
    def __init__(self):
        {made}
        super().__init__()

    def transmit(self, now, size):
        {transmit}
        return (now + 1_000,)

class Mine(NetworkModel):
    def __init__(self, *parts):
        {base}
        super().__init__(*parts)
        {init}

    def link(self, source, target, rng):
        {link}
        return Slow()

@hookimpl
def register_network_models():
    return [NetworkSpec(name="mine", summary="Mine.", model=Mine)]
"""
LAW = """
from framework import Config, Distribution, Duration, LinkConfig, NetworkModel, NetworkSpec, hookimpl, make_link

class Plain(Config):
    pass

class Odd(Distribution):
    def __init__(self):
        {made}
        super().__init__()

    def sample(self, rng):
        {sample}
        return 500_000

class Mine(NetworkModel):
    def link(self, source, target, rng):
        {link}
        return make_link(self.config, Odd(), rng)

@hookimpl
def register_network_models():
    return [NetworkSpec(name="mine", summary="Mine.", model=Mine, config=LinkConfig)]
"""
PLACEMENT = """
from framework import PlacementSpec, RehashedPlacement, hookimpl

class Mine(RehashedPlacement):
    def __init__(self, config, nodes=()):
        {init}
        super().__init__(config, nodes)

    def rebuild(self):
        {rebuild}

    def first(self, hash):
        {first}
        return 0

    def first_many(self, hashes):
        import numpy
        return numpy.zeros(len(hashes), dtype=numpy.int32)

@hookimpl
def register_placements():
    return [PlacementSpec(name="mine", placement=Mine, summary="Mine.")]
"""
BALANCER = """
from framework import Balancer, BalancerSpec, hookimpl

class Mine(Balancer):
    def __init__(self, config):
        {init}
        super().__init__(config)

    def choose(self, key, servers, table, rng):
        {choose}
        return servers[0]

@hookimpl
def register_balancers():
    return [BalancerSpec(name="mine", balancer=Mine, summary="Mine.")]
"""
PROTOCOL = """
from framework import (
    Client, Invariant, Message, Node, NodeId, Ok, Operation, OperationId, ProtocolSpec, handles, hookimpl
)

class Ask(Message):
    operation: OperationId
    text: str

class Answer(Message):
    operation: OperationId
    text: str

class Server(Node):
    @handles(Ask)
    def on_ask(self, sender: NodeId, ask: Ask) -> None:
        {handler}
        self.send(sender, Answer(ask.operation, ask.text))

class Asker(Client):
    def invoke(self, operation: Operation) -> None:
        self.send(self.servers[0], Ask(operation.id, operation.argument))

    @handles(Answer)
    def on_answer(self, sender: NodeId, answer: Answer) -> None:
        value = answer.text
        {answer}
        self.complete(answer.operation, Ok(value))

class Holds(Invariant[Server]):
    def __init__(self):
        {made}

    def observe(self, step, node):
        {observe}

@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="mine", summary="Mine.", node=Server, client=Asker, operations=("echo",), checkers=("echo",),
            invariants=(Holds,),
        )
    ]
"""
RAISE = "{}['x']"
RAISED = "raised KeyError: 'x' (mine.py:LINE)"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


def plugged(template: str, **parts: str) -> int:
    """Writes the plugin `mine.py`; returns the line of the part that is given (of `pass` elsewhere)."""
    blanks = dict.fromkeys(re.findall(r"\{(\w+)\}", template), "pass")
    text = template
    for name, part in {**blanks, **parts}.items():
        text = text.replace(f"{{{name}}}", part)
    Path("mine.py").write_text(text)
    name = next(iter(parts))
    return template[: template.index(f"{{{name}}}")].count("\n") + 1


def result() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(Path("RUN/result.json").read_bytes())
    return loaded


BEFORE = [
    (WORKLOAD, "workload=mine", {"init": RAISE}, f"workload=mine: functions {RAISED}"),
    (WORKLOAD, "workload=mine", {"functions": RAISE}, f"workload=mine: functions {RAISED}"),
    (
        WORKLOAD,
        "workload=mine",
        {"functions": "raise SystemExit(0)"},
        "workload=mine: functions raised SystemExit: 0 (",
    ),
    (FAULT, "faults=mine", {"validate_nodes": RAISE}, f"faults=mine: its set-up {RAISED}"),
    (PLAN, "faults=mine", {"planned_faults": RAISE}, f"faults=mine: its set-up {RAISED}"),
    (NETWORK, "network=mine", {"init": RAISE}, f"network=mine: __init__ {RAISED}"),
    (CHECKER, "checker=mine", {"validate": RAISE}, f"checker=mine: validate {RAISED}"),
    (
        PLAN,
        "faults=mine",
        {"planned_faults": "del self.config; return [self.config]"},
        "faults=mine: its set-up raised AttributeError: 'Mine' object has no attribute 'config' (mine.py:LINE)",
    ),
]


@pytest.mark.parametrize(("template", "choice", "parts", "says"), BEFORE)
def test_one_that_fails_before_the_run_is_one_line_and_no_folder(
    template: str, choice: str, parts: dict[str, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = plugged(template, **parts)
    assert main([*HELLO, "quiet=0", "duration=2s", "plugins.path=mine.py", choice]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert shown.err.startswith(says.replace("LINE", str(line)))
    (kept,) = re.findall(r"; its traceback is in (\S+)\n", shown.err)
    assert "mine.py" in Path(kept).read_text()
    assert not Path("RUN").exists()


GAVE_UP = "the engine gave up: "
CANNOT = "expected an argument that can be sent and recorded (mine.py:"
DEEP = "value = ()\n            for _ in range(5_000): value = (value,)\n            return 'echo', None, value"
DURING = [
    (WORKLOAD, "workload=mine", {"next": RAISE}, f"{GAVE_UP}workload=mine: next {RAISED}"),
    (
        WORKLOAD,
        "workload=mine",
        {"next": "raise SystemExit(0)"},
        f"{GAVE_UP}workload=mine: next raised SystemExit: 0 (",
    ),
    (
        WORKLOAD,
        "workload=mine",
        {"next": "return 7"},
        f"{GAVE_UP}workload=mine: next returned 7 (int), expected (function, key, ",
    ),
    (
        WORKLOAD,
        "workload=mine",
        {"next": "return 'echo', 5, 'x'"},
        f"{GAVE_UP}workload=mine: next returned 5 (int), expected a text",
    ),
    (
        WORKLOAD,
        "workload=mine",
        {"next": "return None, 'k', 'x'"},
        f"{GAVE_UP}workload=mine: next returned None, expected a text",
    ),
    (
        WORKLOAD,
        "workload=mine",
        {"next": "return 'e\\ud800', None, 'x'"},
        f"{GAVE_UP}workload=mine: next returned 'e\\ud800' (",
    ),
    (WORKLOAD, "workload=mine", {"next": "return 'echo', None, 'x\\ud800'"}, f"returned 'x\\ud800' (str), {CANNOT}"),
    (WORKLOAD, "workload=mine", {"next": "return 'echo', None, 10**5_000"}, f"returned a value of type int, {CANNOT}"),
    (
        WORKLOAD,
        "workload=mine",
        {"next": "return 'echo', None, 1 << 70"},
        f"returned 1180591620717411303424 (int), {CANNOT}",
    ),
    (
        WORKLOAD,
        "workload=mine",
        {"next": "return 'echo', None, object()"},
        f"returned <object object> (object), {CANNOT}",
    ),
    (
        WORKLOAD,
        "workload=mine",
        {"next": "return 'echo', None, ['x']"},
        f"(list), {CANNOT[:-10]}: write a tuple (mine.py:",
    ),
    (WORKLOAD, "workload=mine", {"next": "return 'echo', None, b'x'"}, f"returned b'x' (bytes), {CANNOT}"),
    (
        WORKLOAD,
        "workload=mine",
        {"next": "return 'echo', None, (1, float('nan'))"},
        f"returned (1, nan) (tuple), {CANNOT}",
    ),
    (WORKLOAD, "workload=mine", {"next": DEEP}, CANNOT),  # from Python 3.12 on, it has a text of its own
    (
        NETWORK,
        "network=mine",
        {"transmit": "return (now,)"},
        f"{GAVE_UP}virtual time does not advance beyond 0: network=mine delivers messages without delay. Make all",
    ),
    (
        NETWORK,
        "network=mine",
        {"base": "return", "link": "self.config.delay"},
        "network=mine: link raised AttributeError: 'Mine' object has no attribute 'config' (mine.py:20). Call super()."
        "__init__(config, nodes, clients) in Mine.__init__",
    ),
    (
        LAW,
        "network=mine",
        {"made": "return"},
        "network=mine: Odd: its __init__ does not call that of its base class (mine.py:19). Call super().__init__(constant)",
    ),
    (
        LAW,
        "network=mine",
        {"sample": "return 0.5"},
        "network=mine: Odd.sample returned 0.5 (float), expected a delay in nanoseconds: a positive int (mine.py:12)",
    ),
    (LAW, "network=mine", {"sample": "return -5"}, "network=mine: Odd.sample returned -5 (int), expected a delay"),
    (LAW, "network=mine", {"sample": "return 0"}, "network=mine: Odd.sample returned 0 (int), expected a delay"),
    (LAW, "network=mine", {"sample": RAISE}, f"{GAVE_UP}network=mine: Odd.sample {RAISED}"),
    (
        LAW,
        "network=mine",
        {"made": "super().__init__(2.5); return"},
        "network=mine: Odd.constant returned 2.5 (float), expected a delay in nanoseconds: a positive int, or -1 if it",
    ),
    (
        LAW,
        "network=mine",
        {"link": "return make_link(Plain(), Odd(), rng)"},
        "network=mine: make_link: config is a Plain, which is not a LinkConfig (mine.py:LINE). Write class Plain(LinkConfig)",
    ),
    (SERVICE, "workload=mine", {"service": RAISE}, f"{GAVE_UP}workload=mine: its service s1 {RAISED}"),
    (FAULT, "faults=mine", {"inject": RAISE}, f"{GAVE_UP}faults=mine: inject {RAISED}"),
    (
        FAULT,
        "faults=mine",
        {"inject": "return 'x'"},
        f"{GAVE_UP}faults=mine: inject returned 'x' (str), expected an Injection of tuples",
    ),
    (
        FAULT,
        "faults=mine",
        {"inject": "return Injection(Crash('n1'))"},
        f"{GAVE_UP}faults=mine: inject returned Injection(",
    ),
    (
        FAULT,
        "faults=mine",
        {"inject": "return Injection((Crash('n9'),))"},
        "inject returned Crash(node='n9') (Crash), expected an action",
    ),
    (FAULT, "faults=mine", {"expected_touched": RAISE}, f"faults=mine: expected_touched {RAISED}"),
    (NETWORK, "network=mine", {"link": RAISE}, f"{GAVE_UP}network=mine: link {RAISED}"),
    (
        NETWORK,
        "network=mine",
        {"link": "return None"},
        f"{GAVE_UP}network=mine: link returned None, expected a Link (",
    ),
    (
        NETWORK,
        "network=mine",
        {"made": "return"},
        f"{GAVE_UP}network=mine: link returned <mine.Slow object>",
    ),
    (
        NETWORK,
        "network=mine",
        {"transmit": "return (now + 0.5,)"},
        "expected a tuple of integers from ",
    ),
    (
        WORKLOAD,
        "workload=mine",
        {"next": "return 'ecko', None, 'x'"},
        f"{GAVE_UP}workload=mine: next returned 'ecko' (str), expected one of its functions() (echo)",
    ),
    (NETWORK, "network=mine", {"transmit": RAISE}, f"{GAVE_UP}network=mine: transmit {RAISED}"),
    (
        NETWORK,
        "network=mine",
        {
            "link": "import framework; return framework.make_link(framework.LinkConfig(), framework.Duration('1ms'), rng)"
        },
        f"{GAVE_UP}network=mine: make_link: delay=Duration('1ms') is not a Distribution (mine.py:LINE). Write make_link(",
    ),
    (
        NETWORK,
        "network=mine",
        {"link": "from framework import ConfigError; raise ConfigError('a', 'b')"},
        f"{GAVE_UP}network=mine: link raised ConfigError: a: b (mine.py:LINE)",
    ),
    (
        NETWORK,
        "network=mine",
        {"link": "from framework import Violation; raise Violation('a', (), 'b')"},
        f"{GAVE_UP}network=mine: link raised Violation: a broken: b (mine.py:LINE)",
    ),
    (
        WORKLOAD,
        "workload=mine",
        {"is_busy": "from framework import PluginError; raise PluginError('a', 'b', 'C.')"},
        f"{GAVE_UP}workload=mine: a: b (mine.py:LINE). C.",
    ),
    (
        FAULT,
        "faults=mine",
        {"inject": "from framework import SetClock; return Injection((SetClock('n1', -1_000_000),))"},
        "inject returned SetClock(node='n1', drift_ppm=-1000000, step=0) (SetClock), expected an action whose fields",
    ),
    (
        FAULT,
        "faults=mine",
        {"inject": "from framework import SetDisk; return Injection((SetDisk('n1', 'slow', -1),))"},
        "inject returned SetDisk(node='n1', trouble='slow', latency=-1) (SetDisk), expected an action whose fields",
    ),
    (
        NETWORK,
        "network=mine",
        {"transmit": "return None"},
        "transmit returned None, expected a tuple of times (mine.py:",
    ),
    (
        PROTOCOL,
        "protocol=mine",
        {"observe": RAISE},
        "Holds: could not be checked: KeyError: 'x' in observe (mine.py:LINE)",
    ),
    (
        PROTOCOL,
        "protocol=mine",
        {"made": RAISE},
        "Holds: could not be checked: KeyError: 'x' in __init__ (mine.py:LINE)",
    ),
    (
        PROTOCOL,
        "protocol=mine",
        {"observe": "raise SystemExit(1)"},
        "Holds: could not be checked: SystemExit: 1 in observe",
    ),
    (
        PROTOCOL,
        "protocol=mine",
        {"observe": "return False"},
        "Holds: could not be checked: observe returned False (bool), expected None or a raised Violation (mine.py:",
    ),
    (
        PROTOCOL,
        "protocol=mine",
        {"observe": "yield"},
        "Holds: could not be checked: observe returned <generator object Holds.observe> (generator), expected None or",
    ),
    (
        PROTOCOL,
        "protocol=mine",
        {"observe": "from framework import Violation; raise Violation('bad', step.node, 'y')"},
        "could not be checked: TypeError: the nodes of a Violation are 'n1', which is no tuple: write ('n1',) in observe",
    ),
    (
        PROTOCOL,
        "protocol=mine",
        {"observe": "from framework import Violation; raise Violation('bad', (node,), 'y')"},
        "which are not all names: write (step.node,) in observe (mine.py:LINE)",
    ),
    (PROTOCOL, "protocol=mine", {"handler": "raise MemoryError"}, f"{GAVE_UP}MemoryError (mine.py:LINE)"),
    (
        PROTOCOL,
        "protocol=mine",
        {"handler": "self.note('n\\ud800')"},
        f"{GAVE_UP}Server: n1 noted 'n\\ud800', which is not a valid name",
    ),
    (
        PROTOCOL,
        "protocol=mine",
        {"handler": "self.note('n', x='\\ud800')"},
        "n1 noted or answered what cannot be recorded (",
    ),
    (
        PROTOCOL,
        "protocol=mine",
        {"answer": "value = 10**5_000"},
        "c1 noted or answered what cannot be recorded (ValueError",
    ),
    (
        PROTOCOL,
        "protocol=mine",
        {"answer": "value = object()"},
        "c1 noted or answered what cannot be recorded (TypeError",
    ),
    (
        PROTOCOL,
        "protocol=mine",
        {"answer": "value = (0, float('inf'))"},
        "c1 answered (0, inf), which cannot be recorded",
    ),
    (
        CHECKER,
        "checker=mine",
        {"check": "return CheckResult(name='yours', verdict=Verdict.UNKNOWN, reason='odd')"},
        "mine: odd",
    ),
    (CHECKER, "checker=mine", {"check": RAISE}, "mine: the checker failed: KeyError: 'x' (mine.py:LINE)"),
    (
        CHECKER,
        "checker=mine",
        {"check": "pass"},
        "mine: the checker returned None, expected a CheckResult (mine.py:4)",
    ),
    (
        CHECKER,
        "checker=mine",
        {"check": "raise SystemExit(1)"},
        "mine: the checker failed: SystemExit: 1 (mine.py:LINE)",
    ),
    (
        CHECKER,
        "checker=mine",
        {"check": "return check(run, config)"},
        "mine: the checker failed: RecursionError",
    ),
]


@pytest.mark.parametrize(("template", "choice", "parts", "says"), DURING)
def test_one_that_fails_in_the_run_is_why_the_verdict_is_unknown(
    template: str, choice: str, parts: dict[str, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = plugged(template, **parts)
    when = ("faults.mine.at=50ms", "faults.mine.for=50ms", "quiet=100ms") if choice.startswith("faults") else ()
    assert main([*HELLO, "plugins.path=mine.py", choice, *when]) == 2
    shown = capsys.readouterr()
    assert (shown.out.count("\n"), shown.err) == (2, "")
    kept = result()
    assert kept["verdict"] == "unknown"
    assert [says.replace("LINE", str(line)) in reason for reason in kept["reasons"]].count(True) == 1, kept["reasons"]
    assert Path("RUN/history.arrow").stat().st_size > 0


def test_a_balancer_that_fails_is_not_the_crash_of_the_node_that_asks_it() -> None:
    calls = "self.calls = getattr(self, 'calls', 0) + 1"
    line = plugged(BALANCER, choose=f"{calls}; self.calls < 5 or {{}}['x']")  # the first call is before the run
    words = ("experiment=service", "engine=sim", "duration=300ms", "--quiet", "run.dir=RUN")
    assert main([*words, "plugins.path=mine.py", "balancer=mine"]) == 2
    assert result()["reasons"][0] == f"{GAVE_UP}balancer=mine: choose {RAISED.replace('LINE', str(line))}"
    assert result()["crashes"] == []


TRIED = [
    (
        CHECKER,
        "hello",
        "checker=mine",
        {"validate": "return False"},
        "checker=mine: validate returned False (bool), expected None, or a raised ValueError or ConfigError (mine.py:7)",
    ),
    (
        WORKLOAD,
        "hello",
        "workload=mine",
        {"base": "return"},
        "workload=mine: Mine.__init__ does not call that of its base class (mine.py:4). Call super().__init__(config) in Mine",
    ),
    (
        FAULT,
        "hello",
        "faults=mine",
        {"base": "return"},
        "faults=mine: Mine.__init__ does not call that of its base class (mine.py:6). Call super().__init__(config) in Mine",
    ),
    (PLACEMENT, "cache", "placement=mine", {"rebuild": RAISE}, f"placement=mine: rebuild {RAISED}"),
    (
        PLACEMENT,
        "cache",
        "placement=mine",
        {"init": "return"},
        "placement=mine: Mine.__init__ does not call that of its base class (mine.py:4). Call super().__init__(config, nodes)",
    ),
    (BALANCER, "service", "balancer=mine", {"choose": RAISE}, f"balancer=mine: choose {RAISED}"),
    (
        BALANCER,
        "service",
        "balancer=mine",
        {"init": "return"},
        "balancer=mine: Mine.__init__ does not call that of its base class (mine.py:4). Call super().__init__(config)",
    ),
]


@pytest.mark.parametrize(("template", "experiment", "choice", "parts", "says"), TRIED)
def test_one_that_cannot_be_made_or_tried_out_is_named_before_the_run(
    template: str, experiment: str, choice: str, parts: dict[str, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = plugged(template, **parts)
    assert main([f"experiment={experiment}", "engine=sim", "run.dir=RUN", "plugins.path=mine.py", choice]) == 2
    assert capsys.readouterr().err.startswith(says.replace("LINE", str(line)))
    assert not Path("RUN").exists()


HANDLERS = [
    ("raise SystemExit(1)", "n1 crashed: SystemExit: 1 in on_ask (mine.py:LINE)"),
    ("raise ValueError('half \\ud800\\nof it')", "n1 crashed: ValueError: half \\ud800 of it in on_ask (mine.py:LINE)"),
    ("self.on_ask(sender, ask)", "n1 crashed: RecursionError: maximum recursion depth exceeded"),
]


@pytest.mark.parametrize(("handler", "says"), HANDLERS)
def test_a_handler_that_raises_is_named_with_its_line(
    handler: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = plugged(PROTOCOL, handler=handler)
    assert main([*HELLO, "plugins.path=mine.py", "protocol=mine"]) == 1
    assert capsys.readouterr().err == ""
    assert result()["reasons"][0].startswith(says.replace("LINE", str(line)))


@pytest.mark.ray
def test_on_ray_no_node_is_blamed_for_its_network_either(capsys: pytest.CaptureFixture[str]) -> None:
    line = plugged(NETWORK, transmit=RAISE)
    words = [word for word in HELLO if word != "engine=sim"]
    assert main([*words, "plugins.path=mine.py", "network=mine"]) == 2
    assert capsys.readouterr().err == ""
    told = f"{GAVE_UP}network=mine: transmit {RAISED}".replace("LINE", str(line))
    # Ray's processes may have started in another working directory: then the file is named with its whole path.
    reason = result()["reasons"][0].replace(f"({Path.cwd()}/", "(")
    assert (result()["verdict"], reason, result()["crashes"]) == ("unknown", told, [])
