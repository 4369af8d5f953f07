"""Plugins found, imported and asked; what is ambiguous is refused, what is broken is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from framework import ConfigError, PluginError, hookimpl
from framework.registry import discovery
from framework.registry.discovery import ROOT, Found
from framework.registry.messages import named_messages
from framework.registry.registry import CONFIG_FOLDERS, KINDS, load
from tests.registry.loose import PROTOCOL, write_plugin


@pytest.fixture(autouse=True)
def import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test adds to the import path is gone after it."""
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_our_own_plugins_are_found_without_being_listed_anywhere() -> None:
    registry = load()
    assert registry.get("protocol", "echo").summary == "Says back what it hears."
    assert registry.origins["faults", "crash"] == "plugins.faults.crash"
    assert {"echo", "linearizability"} <= set(registry.registered.checkers)
    assert registry.broken == {}
    assert registry.import_paths == (str(ROOT),)


def test_every_message_is_named_after_its_protocol_whichever_part_of_the_framework_brings_it() -> None:
    protocols = load().registered.protocols.values()
    names = {spec.name: sorted(named_messages(spec)) for spec in protocols}
    assert {"raft.Request", "raft.NotLeader", "raft.Administer", "raft.AppendEntries"} <= set(names["raft"])
    assert all(wire.startswith(f"{name}.") for name, wires in names.items() for wire in wires)


def test_loading_twice_gives_two_registries_of_the_same_plugins() -> None:
    first, second = load(), load()
    assert first.registered == second.registered
    assert first.hook is not second.hook


def test_a_loose_file_is_a_plugin_whose_folder_other_processes_can_import_from(tmp_path: Path) -> None:
    file = write_plugin(tmp_path)
    registry = load([str(file)])
    spec = registry.get("protocol", "oracle")
    assert spec.node.__module__ == file.stem
    assert registry.import_paths == (str(ROOT), str(tmp_path))
    program = f"import {file.stem}; print({file.stem}.Oracle.__name__)"
    path = os.pathsep.join(registry.import_paths)
    child = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout == "Oracle\n"


def test_a_loose_folder_holds_a_plugin_in_each_file(tmp_path: Path) -> None:
    file = write_plugin(tmp_path)
    write_plugin(tmp_path, "raise AssertionError('never imported')", "_hidden")
    write_plugin(tmp_path, "raise AssertionError('never imported')", "test_oracle")
    assert load([str(tmp_path)]).origins["protocol", "oracle"] == file.stem


def test_a_loose_package_is_one_plugin(tmp_path: Path) -> None:
    package = tmp_path / "loose_package_of_one"
    package.mkdir()
    write_plugin(
        package,
        "from loose_package_of_one.oracle import register_protocols as register_protocols",
        "__init__",
    )
    write_plugin(package, PROTOCOL, "oracle")
    registry = load([str(package)])
    assert registry.origins["protocol", "oracle"] == "loose_package_of_one"
    assert registry.import_paths == (str(ROOT), str(tmp_path))


def test_an_installed_package_registers_through_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plugin(tmp_path, PROTOCOL, "installed_oracle")
    described = tmp_path / "installed_oracle-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: installed-oracle\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[synod]\noracle = installed_oracle\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load().origins["protocol", "oracle"] == "installed_oracle"


def test_a_name_that_nothing_has_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"there is no protocol 'ecko'. Did you mean 'echo'"):
        load().get("protocol", "ecko")


def test_a_broken_plugin_warns_and_leaves_the_others_alone(tmp_path: Path) -> None:
    file = write_plugin(tmp_path, "import no_such_module_anywhere")
    registry = load([str(file)])
    assert registry.get("protocol", "echo")
    (warning,) = registry.warnings()
    assert warning.startswith(f"plugin {file.stem} is left out: ModuleNotFoundError: No module named 'no_such_module")
    assert f"{file}:1" in warning


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("def f(:", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("from framework import Node\nclass N(Node):\n    def __init__(self): ...", "a node has no __init__"),
        (PROTOCOL.replace("return [", "raise KeyError('x'); return ["), "KeyError: 'x'"),
        (PROTOCOL.replace("return [Proto", "return ["  "Ask] or [Proto"), "register_protocols returns"),
    ],
)  # fmt: skip
def test_whatever_goes_wrong_in_a_plugin_is_one_line(tmp_path: Path, source: str, error: str) -> None:
    file = write_plugin(tmp_path, source)
    broken = load([str(file)]).broken[file.stem]
    assert error in broken
    assert "\n" not in broken


def test_who_selects_a_broken_plugin_is_told_what_is_wrong_with_it(tmp_path: Path) -> None:
    write_plugin(tmp_path, "import no_such_module_anywhere", "paxos_unimportable")
    registry = load([str(tmp_path)])
    with pytest.raises(PluginError, match="plugin paxos_unimportable: cannot be loaded: ModuleNotFoundError"):
        registry.get("protocol", "paxos_unimportable")
    with pytest.raises(ConfigError, match="could not be loaded: paxos_unimportable: ModuleNotFoundError"):
        registry.get("protocol", "viewstamped")


def test_a_spec_that_breaks_a_rule_is_left_out_and_its_error_kept_for_who_selects_it(tmp_path: Path) -> None:
    file = write_plugin(tmp_path, PROTOCOL.replace("class Told(Message):", "class Told(Message):\n    tags: list[str]"))
    registry = load([str(file)])
    assert "oracle" not in registry.registered.protocols
    with pytest.raises(PluginError, match=r"Told.tags: a message cannot hold list"):
        registry.get("protocol", "oracle")


def test_two_plugins_of_one_name_are_refused_with_the_names_of_both(tmp_path: Path) -> None:
    first, second = write_plugin(tmp_path), write_plugin(tmp_path)
    with pytest.raises(PluginError, match=f"plugins {first.stem} and {second.stem}: both register protocol=oracle"):
        load([str(first), str(second)])


@pytest.mark.parametrize(
    ("was", "becomes", "error"),
    [
        (
            "register_protocols",
            "register_protocol",
            "no hook 'register_protocol'. Did you mean 'register_protocols'?",
        ),
        ("@hookimpl\ndef register_protocols", "def register_protocol", "Did you mean 'register_protocols'?"),
        ("@hookimpl\n", "", "register_protocols is not marked as a hook. Write @hookimpl"),
        ("register_protocols()", "register_protocols(engine)", "engine"),
    ],
)
def test_a_hook_that_would_never_be_called_is_refused(tmp_path: Path, was: str, becomes: str, error: str) -> None:
    file = write_plugin(tmp_path, PROTOCOL.replace(was, becomes))
    with pytest.raises(PluginError) as raised:
        load([str(file)])
    assert f"plugin {file.stem}" in str(raised.value)
    assert error in str(raised.value)


def test_a_hook_that_a_package_imports_needs_its_mark_too(tmp_path: Path) -> None:
    package = tmp_path / f"{write_plugin(tmp_path).stem}_package"
    package.mkdir()
    (package / "oracle.py").write_text(PROTOCOL.replace("@hookimpl\n", ""))
    (package / "__init__.py").write_text(f"from {package.name}.oracle import register_protocols\n")
    with pytest.raises(PluginError, match=r"register_protocols is not marked as a hook. Write @hookimpl above def"):
        load([str(package)])


def test_a_file_that_registers_nothing_is_no_plugin(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="registers nothing"):
        load([str(write_plugin(tmp_path, "x = 1"))])


def test_a_class_in_main_is_refused_because_other_processes_cannot_import_it(tmp_path: Path) -> None:
    source = PROTOCOL.replace("class Asker", "Oracle.__module__ = '__main__'\n\nclass Asker")
    with pytest.raises(PluginError, match="the class Oracle lives in __main__"):
        load([str(write_plugin(tmp_path, source))])


def test_a_plugin_that_registers_a_name_twice_is_named_once(tmp_path: Path) -> None:
    twice = write_plugin(tmp_path, PROTOCOL.replace("return [", "return 2 * ["))
    with pytest.raises(PluginError) as refused:
        load([str(twice)])
    assert str(refused.value) == f"plugin {twice.stem}: registers protocol=oracle twice. Rename one."


def test_a_missing_name_is_answered_with_the_paths_that_were_searched(tmp_path: Path) -> None:
    one, other = write_plugin(tmp_path), write_plugin(tmp_path, PROTOCOL.replace("oracle", "seer"))
    with pytest.raises(
        ConfigError, match=rf"there is no protocol 'rafd'\. Did you mean 'raft'\? plugins\.path is {one}\.$"
    ):
        load([str(one)]).get("protocol", "rafd")
    with pytest.raises(ConfigError, match=rf"plugins\.path is \[{one},{other}\]\.$"):
        load([str(one), str(other)]).get("protocol", "rafd")


@pytest.mark.parametrize("name", ["queue", "pluggy", "framework"])
def test_a_loose_file_does_not_take_the_name_of_something_installed(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginError, match=f"the name '{name}' is taken by"):
        load([str(write_plugin(tmp_path, PROTOCOL, name))])


def test_a_loose_file_has_a_name_that_can_be_imported(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="Rename it to 'my_oracle'"):
        load([str(write_plugin(tmp_path, PROTOCOL, "my-oracle"))])


def test_a_path_with_nothing_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no plugin at .*/a,b\. .* write plugins\.path=\[.*/a,b\]\."):
        load([f"{tmp_path}/a,b"])
    with pytest.raises(ConfigError, match=r"there is no plugin at .*; for several write plugins\.path=\[a,b\]\."):
        load([str(tmp_path / "nowhere")])
    with pytest.raises(ConfigError, match="holds no Python file"):
        load([str(tmp_path)])


def test_a_plugins_package_that_shadows_ours_is_refused_with_both_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "plugins"
    theirs.mkdir()
    (theirs / "__init__.py").write_text("")
    for module in [name for name in sys.modules if name == "plugins" or name.startswith("plugins.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError) as raised:
        load()
    monkeypatch.delitem(sys.modules, "plugins")
    assert str(theirs) in str(raised.value)
    assert str(ROOT / "plugins") in str(raised.value)


def test_anyone_may_listen_to_the_life_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Listener:
        def __init__(self) -> None:
            self.heard: list[dict[str, object]] = []

        @hookimpl
        def run_finished(self, result: dict[str, object]) -> None:
            self.heard.append(result)

    listener = Listener()
    monkeypatch.setattr("framework.registry.registry.installed", lambda: [Found("listener", lambda: listener)])
    registry = load()
    registry.hook.run_finished(run_dir=Path("runs/x"), result={"verdict": "valid"})
    assert listener.heard == [{"verdict": "valid"}]


FOLDERS = """
from pathlib import Path
from framework import hookimpl

@hookimpl
def register_config_folders():
    return ANSWER
"""


def test_a_plugin_brings_folders_of_configs(tmp_path: Path) -> None:
    for name in ("conf", "more"):
        (tmp_path / name / "experiment").mkdir(parents=True)
        (tmp_path / name / "experiment" / f"{name}.yaml").touch()
    source = FOLDERS.replace(
        "ANSWER", '[Path(__file__).parent / "conf", str(Path(__file__).parent / "more" / "..") + "/more"]'
    )
    first = write_plugin(tmp_path, source)
    second = write_plugin(tmp_path, source)
    registry = load([str(first), str(second)])
    assert registry.broken == {}
    assert registry.config_folders == {tmp_path / "conf": first.stem, tmp_path / "more": first.stem}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("Path(__file__).parent", "register_config_folders returns PosixPath. Return a list: [Path(__file__)"),
        ("'/tmp'", "register_config_folders returns str. Return a list: [Path(__file__)"),
        ("None", "register_config_folders returns NoneType. Return a list: [Path(__file__)"),
        ("[7]", "register_config_folders returns int, which is not a path. Give str or Path."),
        ("[b'/tmp']", "register_config_folders returns bytes, which is not a path. Give str or Path."),
        ("['conf']", "returns 'conf', which depends on where a command is run. Write Path(__file__).parent / 'conf'."),
        ("[Path(__file__).parent / 'nowhere']", "nowhere. Of a package, package-data in its pyproject.toml says"),
        ("[Path(__file__)]", "register_config_folders: there is no folder "),
        ("[Path(__file__).parent / 'conf' / 'experiment']", "holds no GROUP/NAME.yaml. Write experiment/NAME.yaml in it."),
        ("['/\\0']", "ValueError: "),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_what_is_no_folder_of_configs_breaks_the_plugin_alone(tmp_path: Path, answer: str, error: str) -> None:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").touch()
    file = write_plugin(tmp_path, FOLDERS.replace("ANSWER", answer))
    registry = load([str(file)])
    assert error in registry.broken[file.stem]
    assert "\n" not in registry.broken[file.stem]
    assert registry.config_folders == {}
    assert registry.get("protocol", "echo")


def test_every_kind_of_plugin_has_a_hook_and_a_place() -> None:
    from framework.registry import hookspecs
    from framework.registry.specs import Registered

    hooks = {name for name in vars(hookspecs) if name.startswith("register_")}
    assert {kind.hook for kind in KINDS.values()} == hooks - {CONFIG_FOLDERS}
    assert {kind.field for kind in KINDS.values()} == set(vars(Registered()))


def test_finding_plugins_imports_nothing_heavy() -> None:
    program = "import sys; from framework.registry.registry import load; load(); print(*sorted(sys.modules))"
    child = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"ray", "pyarrow", "uvloop", "hydra", "rich"} & set(child.stdout.split())


def test_the_root_is_where_the_configs_are() -> None:
    assert (discovery.ROOT / "conf" / "config.yaml").is_file()
