"""Every kind of override against the types of what it changes: it does what it says, or one line tells why not and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework import ConfigError
from framework.config.compose import compose
from framework.registry.registry import Registry, load

FIVE = ["experiment=raft_5nodes"]
CHAOS = ["experiment=raft_chaos"]
NIGHT = ["experiment=raft_schedule"]
WIDE = ["experiment=raft_wan"]
CRASH = [*FIVE, "faults=crash"]
NEVER = "a setting always has a value, so it cannot be deleted."


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


def at(config: dict[str, Any], path: str) -> Any:
    found: Any = config
    for step in path.split("."):
        found = found[int(step)] if isinstance(found, list) else found[step]
    return found


DONE: list[tuple[list[str], list[str], str, Any]] = [
    (CHAOS, ["~faults.chaos.kinds.crash"], "faults.chaos.kinds", {"pause", "partition", "loss", "duplicate", "reorder",
                                                                 "delay", "clock", "disk"}),
    (CHAOS, ["~faults.chaos.kinds.crash=3"], "faults.chaos.kinds.pause", 2),
    (CHAOS, ["~faults.chaos"], "faults", set()),
    (CHAOS, ["~faults"], "faults", set()),
    (CHAOS, ["~faults=chaos"], "faults", set()),
    (CHAOS, ["~faults=[chaos]"], "faults", set()),
    (CHAOS, ["+faults=crash"], "faults", {"chaos", "crash"}),
    (CHAOS, ["+faults=[crash,pause]"], "faults", {"chaos", "crash", "pause"}),
    (CHAOS, ["faults=pause", "+faults=crash"], "faults", {"pause", "crash"}),
    (CHAOS, ["++faults=crash"], "faults", {"crash"}),
    (FIVE, ["+faults=[crash]"], "faults", {"crash"}),
    (FIVE, ["faults=[crash,pause]", "~faults.crash"], "faults", {"pause"}),
    (FIVE, ["faults=[crash,pause]", "~faults=crash"], "faults", {"pause"}),
    (CRASH, ["~faults.crash"], "faults", set()),
    (CRASH, ["+faults.late={name: crash, at: 8s}", "~faults.crash"], "faults", {"late"}),
    (FIVE, ["checker=[linearizability,echo]", "~checker.echo"], "checker", {"linearizability"}),
    (FIVE, ["checker=linearizability", "~checker.linearizability"], "checker", set()),
    (NIGHT, ["~faults.schedule.steps.1"], "faults.schedule.steps.1.fault", "delay"),
    (NIGHT, ["~faults.schedule.steps.0", "~faults.schedule.steps.1"], "faults.schedule.steps.0.fault", "delay"),
    (NIGHT, ["faults.schedule.steps.0.at=5s", "~faults.schedule.steps.1"], "faults.schedule.steps.0.at", "5s"),
    (WIDE, ["~network.regions.0"], "network.regions.0", "us-west-2"),
    (WIDE, ["network.regions.0=eu-west-3"], "network.regions.0", "eu-west-3"),
    (FIVE, ["+workload.mix.cas=3"], "workload.mix.cas", 3),
    (FIVE, ["++nodes=7"], "nodes", 7),
    (FIVE, ["nodes=${clients}", "clients=4"], "nodes", 4),
]  # fmt: skip


@pytest.mark.parametrize(
    ("base", "words", "path", "value"), DONE, ids=lambda part: " ".join(part) if isinstance(part, list) else None
)
def test_what_can_be_changed_is(base: list[str], words: list[str], path: str, value: Any, registry: Registry) -> None:
    found = at(compose([*base, *words], registry=registry).config, path)
    assert (set(found) if isinstance(value, set) else found) == value


REFUSED: list[tuple[list[str], str, str]] = [
    # Settings cannot be deleted.
    (FIVE, "~workload.mix.write", f"{NEVER} Write workload.mix.write=VALUE; the default is 50."),
    (FIVE, "~workload.mix", f"{NEVER} Write workload.mix.KEY=VALUE."),
    (FIVE, "~nodes", f"{NEVER} Write nodes=VALUE; the default is 3."),
    (FIVE, "~nodes=4", f"{NEVER} Write nodes=VALUE; the default is 3."),
    (FIVE, "~protocol.session.retry", f"{NEVER} Write protocol.session.retry=VALUE; the default is 500ms."),
    (FIVE, "~engine.transport", f"{NEVER} Write engine.transport=VALUE; the default is mesh."),
    (FIVE, "~engine.address", f"{NEVER} Write engine.address=VALUE; the default is null."),
    (FIVE, "~scheduling.timeout", f"{NEVER} Write scheduling.timeout=VALUE; the default is 1m."),
    (FIVE, "~trace.level", f"{NEVER} Write trace.level=VALUE; the default is full."),
    (CHAOS, "~faults.chaos.kinds", f"{NEVER} Write faults.chaos.kinds.KEY=VALUE."),
    (NIGHT, "~faults.schedule.steps", f"{NEVER} Write faults.schedule.steps=[…]."),
    (CRASH, "~faults.crash.target", f"{NEVER} Write faults.crash.target=VALUE; the default is random."),
    (CRASH, "~faults.crash.name", f"{NEVER} Leave ~faults.crash.name out."),
    (FIVE, "~run.dir", f"{NEVER} Leave ~run.dir out."),
    (FIVE, "~plugins", f"{NEVER} Leave ~plugins out."),
    # What is not there cannot be deleted either.
    (FIVE, "~workload.mix.wrte", "there is no such key. Did you mean 'write'?"),
    (FIVE, "~nodez", "there is no such key. Did you mean 'nodes'?"),
    (FIVE, "~netwrok.loss", "there is no such key."),
    (CHAOS, "~faults.chaos.kinds.crsh", "there is no such key. Did you mean 'crash'?"),
    (CHAOS, "~faults.chaos.kinds.crash=9", "is 3, not 9. Write ~faults.chaos.kinds.crash."),
    (CHAOS, "~faults.crash", "crash is not chosen. There are: chaos."),
    (CHAOS, "~faults=crash", "crash is not chosen. There are: chaos."),
    (FIVE, "~faults.crash", "crash is not chosen. None is: leave ~faults.crash out."),
    (FIVE, "~faults.crash.target", "crash is not chosen"),
    (NIGHT, "~faults.schedule.steps.3", "there is no item '3': faults.schedule.steps has items 0 to 2. Write all of it"),
    (NIGHT, "~faults.schedule.steps.x", "there is no item 'x'"),
    (FIVE, "~checker.linearizability", "checker=auto takes those that the protocol names. Write checker=none, or name"),
    (FIVE, "~protocol", "a value is required. There are: abd, "),
    (FIVE, "~", "is not a setting. Write key=value."),
    (FIVE, "+=3", "is not a setting. Write key=value."),
    # A list where keys and values are due, and the other way round.
    (CHAOS, "faults.chaos.kinds=[crash]", "expected keys and values, got ['crash']. Write faults.chaos.kinds.crash=VALUE."),
    (CHAOS, "faults.chaos.kinds=[{a: 1}]", "expected keys and values, got [{'a': 1}]. Write faults.chaos.kinds.KEY=VALUE."),
    (CHAOS, "faults.chaos={kinds: [crash]}", "faults.chaos.kinds: expected keys and values, got ['crash']"),
    (CHAOS, "faults.chaos.kinds=crash", "expected keys and values, got 'crash'"),
    (CHAOS, "faults.chaos=[a]", "expected keys and values, got ['a']. Write faults.chaos.KEY=VALUE."),
    (CHAOS, "faults.chaos=null", "expected keys and values, got nothing. Choose with faults=NAME."),
    (FIVE, "protocol.session=[3]", "expected keys and values, got [3]. Write protocol.session.KEY=VALUE."),
    (FIVE, "protocol.session=3", "expected keys and values, got 3"),
    (FIVE, "workload.mix=[read]", "expected keys and values, got ['read']. Write workload.mix.read=VALUE."),
    (FIVE, "workload.mix={}", "an empty mapping changes nothing: a mapping is merged into the existing one"),
    (NIGHT, "faults.schedule.steps={a: 1}", "expected a list, got {'a': 1}. Write faults.schedule.steps=[…]."),
    (NIGHT, "faults.schedule.steps=crash", "expected a list, got 'crash'. Write faults.schedule.steps=[crash]."),
    (WIDE, "network.regions={a: b}", "expected a list, got {'a': 'b'}. Write network.regions=[…]."),
    # Items of lists.
    (NIGHT, "faults.schedule.steps.9={fault: crash}", "there is no item '9': faults.schedule.steps has items 0 to 2. Write"),
    (NIGHT, "+faults.schedule.steps.9.at=1s", "there is no item '9': faults.schedule.steps has items 0 to 2. Write"),
    (NIGHT, "faults.schedule.steps.x=1", "there is no item 'x': faults.schedule.steps has items 0 to 2. Write"),
    (NIGHT, "faults.schedule.steps[0].at=5s", "cannot be read. Write faults.schedule.steps.0.at=VALUE."),
    (NIGHT, "faults.schedule.steps.0.tagret=n1", "there is no such key."),
    (NIGHT, "faults.schedule.steps.0.fault=crsh", "there is no fault 'crsh'. Did you mean 'crash'?"),
    (WIDE, "network.regions.9=eu-west-3", "there is no item '9': network.regions has items 0 to 4."),
    # Scalars.
    (FIVE, "nodes=[3]", "expected a whole number, got [3]. The default is 3."),
    (FIVE, "nodes={a: 1}", "expected a whole number, got {'a': 1}. The default is 3."),
    (FIVE, "nodes=null", "expected a whole number, got nothing. The default is 3."),
    (FIVE, "duration=[1s]", "expected a duration, got ['1s']. The default is 10s."),
    (FIVE, "duration={a: 1s}", "expected a duration, got {'a': '1s'}. The default is 10s."),
    (FIVE, "duration=null", "expected a duration, got nothing. The default is 10s."),
    (FIVE, "protocol.session.retry=[1s]", "expected a duration, got ['1s']. The default is 500ms."),
    (FIVE, "protocol.prevote=[true]", "expected true or false, got [True]. The default is true."),
    (FIVE, "protocol.read_mode=[log]", "expected one of lease, log, read_index; got ['log']"),
    (FIVE, "protocol.read_mode={a: b}", "expected one of lease, log, read_index; got {'a': 'b'}"),
    (FIVE, "protocol.read_mode=lgo", "unknown value 'lgo'. Did you mean 'log'?"),
    (CRASH, "faults.crash.target=[n1]", "expected text, got ['n1']. The default is random."),
    (CRASH, "faults.crash.target={a: n1}", "expected text, got {'a': 'n1'}. The default is random."),
    (CHAOS, "faults.chaos.kinds.crash=x", "expected a whole number, got 'x'. The default is 3."),
    (CHAOS, "faults.chaos.kinds.crash=[1]", "expected a whole number, got [1]. The default is 3."),
    (CHAOS, "faults.chaos.kinds.crash={a: 1}", "expected a whole number, got {'a': 1}. The default is 3."),
    ([*FIVE, "network=lossy"], "network.latency.kind=lognrmal", "unknown value 'lognrmal'. Did you mean 'lognormal'?"),
    ([*FIVE, "network=lossy"], "network.loss={a: 1}", "expected a number, got {'a': 1}. The default is 0.02."),
    (FIVE, "checker.linearizability.budget=[1]", "expected a whole number, got [1]."),
    (FIVE, "run.dir=[a]", "['a'] is not a folder name. Write run.dir=runs/mine."),
    # Names.
    (FIVE, "protocol.name=abd", "protocol is raft. Choose with protocol=abd."),
    (FIVE, "protocol.name=rft", "there is no protocol 'rft'. Did you mean 'raft'?"),
    (FIVE, "protocol.name=[abd]", "expected a name, got ['abd']."),
    (CRASH, "faults.crash.name=crsh", "there is no fault 'crsh'. Did you mean 'crash'?"),
    (CRASH, "faults.crash.name=[crash]", "expected a name, got ['crash']"),
    (CRASH, "+faults=crash", "crash is chosen twice. Give the second one a name of its own"),
    (FIVE, "+faults=crsh", "there is no fault 'crsh'. Did you mean 'crash'?"),
    (FIVE, "+checker=echo", "checker=auto takes those that the protocol names. Name all of them: checker=[NAME,NAME]."),
    (FIVE, "faults.late={at: 1s}", "late is not chosen. Say what it is: faults.late.name=NAME."),
    (FIVE, "nodes=${clietns}", "${clietns} refers to a key that does not exist. Did you mean 'clients'?"),
    (FIVE, "faults/crash=1", "there is no such key. Write faults.crash=1."),
]  # fmt: skip


@pytest.mark.parametrize(("base", "word", "says"), REFUSED, ids=[word for _, word, _ in REFUSED])
def test_what_cannot_be_changed_is_told_of_the_command_line_in_one_line(
    base: list[str], word: str, says: str, registry: Registry
) -> None:
    with pytest.raises(ConfigError) as raised:
        compose([*base, word], registry=registry)
    text = str(raised.value)
    assert says in text
    assert text.startswith(
        (f"command line: {word}: ", f"command line: {word!r} ", f"command line: {word.lstrip('+')}: ")
    )
    assert "\n" not in text


HEAD = "# @package _global_\ndefaults:\n  - override /protocol: raft\n  - override /faults: {}\n"
FILES = [
    ("chaos", "faults: {chaos: {kinds: [crash]}}", "faults.chaos.kinds: expected keys and values, got ['crash']"),
    ("chaos", "faults: {chaos: {kinds: {crash: x}}}", "faults.chaos.kinds.crash: expected a whole number, got 'x'."),
    ("schedule", "faults: {schedule: {steps: {a: 1}}}", "faults.schedule.steps: expected a list, got {'a': 1}"),
    (
        "schedule",
        "faults: {schedule: {steps: [{fault: crsh}]}}",
        "faults.schedule.steps.0.fault: there is no fault 'crsh'.",
    ),
    (
        "schedule",
        "faults: {schedule: {steps: [{fault: crash, target: n9}]}}",
        "faults.schedule.steps.0.target=n9: there is no such node. There are: n1, n2, n3.",
    ),
    ("crash", "faults: [crash]", "faults: expected keys and values, got ['crash']"),
    ("crash", "faults: {crash: {target: n9}}", "faults.crash.target=n9: there is no such node. There are: n1, n2, n3."),
    ("none", "protocol: [1]", "protocol: expected keys and values, got [1]"),
    ("none", "protocol: {name: abd}", "protocol.name: protocol is raft. Choose with protocol=abd."),
    ("none", "workload: {mix: [read]}", "workload.mix: expected keys and values, got ['read']"),
    ("none", "workload: {mix: }", "workload.mix: expected keys and values, got nothing"),
    ("none", "plugins: {path: {a: b}}", "plugins.path: expected folders or files, got {'a': 'b'}"),
    ("none", "nodes: ${many}", "nodes: ${many} refers to a key that does not exist."),
    ("none", "duration: [1s]", "duration: expected a duration, got ['1s']. The default is 10s."),
]


@pytest.mark.parametrize(("faults", "body", "says"), FILES, ids=[body for _, body, _ in FILES])
def test_what_a_file_cannot_say_is_told_of_the_file(faults: str, body: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "experiment" / "mine.yaml"
    file.parent.mkdir()
    file.write_text(f"{HEAD.format(faults)}{body}\n")
    with pytest.raises(ConfigError) as raised:
        compose(["experiment=mine"], str(tmp_path))
    text = str(raised.value)
    assert text.startswith(f"{file}: {says}") and "\n" not in text


def test_a_file_of_an_option_is_named_where_its_shape_is_wrong(tmp_path: Path) -> None:
    for group, text in (
        ("network", "defaults: [wan_aws]\nregions: {a: b}\n"),
        ("experiment", HEAD.format("none") + "  - override /network: mine\n"),
    ):
        (tmp_path / group).mkdir()
        (tmp_path / group / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        compose(["experiment=mine"], str(tmp_path))
    assert str(raised.value) == f"{tmp_path / 'network/mine.yaml'}: regions: expected a list, got {{'a': 'b'}}"
