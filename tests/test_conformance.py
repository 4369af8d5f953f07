"""Every registered protocol stands the conformance kit."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from framework import open_run
from framework.core.errors import ConfigError
from framework.registry.registry import load
from framework.testing.conformance import Check, NotConforming, checks
from tests.installing import run

PROTOCOLS = sorted(load().registered.protocols)

# One protocol over actor calls will do: what carries messages is no business of a protocol's.
ON_RAY = [
    check
    for protocol in PROTOCOLS
    for check in checks(protocol, engines=["ray"])
    if check.name != "runs_on_ray_by_actor_calls" or protocol == "raft"
]


FORGETFUL = '''"""A register that one node keeps, in its memory."""

from framework import Client, Message, Node, NodeId, Ok, Operation, OperationId, ProtocolSpec, handles, hookimpl


class Ask(Message):
    operation: OperationId
    function: str
    value: str | None


class Told(Message):
    operation: OperationId
    value: str | None


class Keeper(Node):
    def on_start(self) -> None:
        self.value: str | None = None

    @handles(Ask)
    def on_ask(self, sender: NodeId, ask: Ask) -> None:
        if ask.function == "write":
            self.value = ask.value
        self.send(sender, Told(operation=ask.operation, value=self.value if ask.function == "read" else None))


class Asker(Client):
    def invoke(self, operation: Operation) -> None:
        ask = Ask(operation=operation.id, function=operation.function, value=operation.argument)
        self.send(self.servers[0], ask)

    @handles(Told)
    def on_told(self, sender: NodeId, told: Told) -> None:
        self.complete(told.operation, Ok(told.value))


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="forgetful", summary="Forgets.", node=Keeper, client=Asker, operations=("read", "write"),
            model="register", checkers=("linearizability",),
        )
    ]
'''


@pytest.mark.synod_conformance(*PROTOCOLS, engines=["sim"])
def test_conforms() -> None:
    pass


@pytest.mark.ray
@pytest.mark.usefixtures("ray_runtime")
@pytest.mark.parametrize("on_ray", ON_RAY, ids=str)
def test_conforms_on_ray(on_ray: Check, tmp_path: Path) -> None:
    on_ray.run(tmp_path)


def made(tmp_path: Path, name: str, *arguments: str, config_dir: str | None = None) -> None:
    """Makes the check `name` of a protocol with some overrides."""
    (check,) = [check for check in checks(*arguments, engines=["sim"], config_dir=config_dir) if check.name == name]
    (tmp_path / name).mkdir()
    check.run(tmp_path / name)


def test_a_protocol_may_need_configs_of_its_authors_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf" / "network").mkdir(parents=True)
    (tmp_path / "conf" / "network" / "mine.yaml").write_text("defaults: [lan]\n")
    monkeypatch.chdir(tmp_path)
    for name in ("state_is_plain_data", "digest_ignores_the_hash_seed"):
        made(tmp_path, name, "echo", "network=mine", config_dir="conf")


def test_what_the_author_sets_stands(tmp_path: Path) -> None:
    made(tmp_path, "survives_a_crash_at_every_step", "echo", "nodes=1", "duration=100ms", "workload.think_time=30ms")
    calm = open_run(tmp_path / "survives_a_crash_at_every_step" / "calm")
    assert set(calm.events["node"].to_pylist()) == {"n1", "c1", "c2"}
    assert calm.history.num_rows == 2 * 4


def test_the_authors_faults_take_the_place_of_the_kits_crashes(tmp_path: Path) -> None:
    made(tmp_path, "handlers_are_total", "echo", "faults=pause", "duration=3s", "workload.think_time=100ms")
    (asked,) = {tuple(open_run(run).result["faults"]) for run in (tmp_path / "handlers_are_total").iterdir()}
    assert asked == ("pause",)


def test_an_experiment_stands_as_well(tmp_path: Path) -> None:
    made(tmp_path, "handlers_are_total", "echo", "experiment=hello", "duration=600ms")
    experiment = open_run(tmp_path / "handlers_are_total" / "0").result
    assert experiment["experiment"] == "hello" and experiment["faults"]["crash"]


@pytest.mark.parametrize(
    ("arguments", "name", "told"),
    [
        (("ecko",), "", "protocol=ecko: there is no protocol 'ecko'. Did you mean 'echo'?"),
        (("echo", "nodes=x"), "", "command line: nodes=x: expected a whole number, got 'x'. The default is 3."),
        (
            ("echo", "engine=ray"),
            "",
            'conformance of echo: engine is the kit\'s to set. Write engines=["sim"], ["ray"] or both.',
        ),
        (
            ("echo", "run.dir=mine"),
            "",
            "conformance of echo: run.dir is the kit's to set. Leave it out: each run has a folder of its own.",
        ),
        (
            ("echo", "trace=none"),
            "digest_ignores_the_hash_seed",
            "digest_ignores_the_hash_seed: cannot be made with trace=none: it reads what a run with trace=history "
            "leaves. Leave trace=none out of the overrides.",
        ),
        (
            ("echo", "faults=pause"),
            "survives_a_crash_at_every_step",
            "survives_a_crash_at_every_step: brings its own crashes and allows no other faults, here pause. "
            "Leave faults out of the overrides, and judge a run under them with @pytest.mark.synod.",
        ),
    ],
)
def test_settings_that_cannot_be_are_one_line(tmp_path: Path, arguments: tuple[str, ...], name: str, told: str) -> None:
    with pytest.raises(ConfigError) as mistake:
        made(tmp_path, name or "handlers_are_total", *arguments)
    assert str(mistake.value) == told


def test_an_invariant_that_changes_a_node_is_named(tmp_path: Path) -> None:
    meddles = ("class Meddles(Invariant[Keeper]):\n    def observe(self, step, node):\n"
               "        if node.value:\n            node.value = None\n\n\n@hookimpl")  # fmt: skip
    text = FORGETFUL.replace("@hookimpl", meddles).replace("Client, Message", "Client, Invariant, Message")
    plugin = tmp_path / "meddling.py"
    plugin.write_text(text.replace("forgetful", "meddling").replace("model=", "invariants=(Meddles,), model="))
    with pytest.raises(NotConforming, match=r"^Meddles\.observe changes value of n[123]$"):
        made(tmp_path, "invariants_only_observe", "meddling", f"plugins.path={plugin}", "workload.keys=1")


def test_a_protocol_that_forgets_is_shown_with_the_command_that_shows_it_again(tmp_path: Path) -> None:
    plugin = tmp_path / "forgetful.py"
    plugin.write_text(FORGETFUL)
    with pytest.raises(NotConforming) as found:
        made(tmp_path, "survives_a_crash_at_every_step", "forgetful", f"plugins.path={plugin}", "workload.keys=1")
    lines = str(found.value).splitlines()
    assert "crashes after its step at" in lines[0] and "invalid" in lines[0] and "linearizability:" in lines
    ended = run(*shlex.split(lines[-1])[3:], "--quiet", f"run.dir={tmp_path / 'again'}", cwd=tmp_path)
    assert ended.returncode == 1, ended.stderr
