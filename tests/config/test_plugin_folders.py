"""Configs that plugins bring are found without being asked for, and no two files of one name are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from framework import ConfigError, PluginError, hookimpl
from framework.config.compose import compose, load_plugins
from framework.config.groups import CONF
from framework.config.help import help_text
from framework.registry.discovery import Found
from tests.registry.loose import PROTOCOL, write_plugin

GLOBAL = "# @package _global_\n"
ECHO = GLOBAL + "# Says it back.\ndefaults:\n  - override /protocol: echo\n  - override /workload: echo\n"
FOLDERS = """
from pathlib import Path
from framework import hookimpl

@hookimpl
def register_config_folders():
    return [Path(__file__).parent / "conf"]
"""


def config(folder: Path, name: str, text: str = ECHO) -> Path:
    file = folder / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def bringing(folder: Path, name: str = "experiment/aloud", text: str = ECHO) -> Path:
    """A loose plugin in `folder` that brings a folder with this config."""
    config(folder / "conf", name, text)
    return write_plugin(folder, FOLDERS)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of configs of a plugin that is installed; the tests write files into it."""
    folder = tmp_path / "installed"
    config(folder, "experiment/aloud")

    @hookimpl
    def register_config_folders() -> list[Path]:
        return [folder]

    plugin = SimpleNamespace(register_config_folders=register_config_folders)
    monkeypatch.setattr("framework.registry.registry.installed", lambda: [Found("herald", lambda: plugin)])
    return folder


def refusal(*overrides: str, config_dir: Path | None = None) -> str:
    with pytest.raises((ConfigError, PluginError)) as raised:
        compose(overrides, None if config_dir is None else str(config_dir))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_an_installed_plugin_brings_an_experiment(installed: Path) -> None:
    composed = compose(["experiment=aloud", "engine=sim"])
    assert (composed.experiment.name, composed.experiment.protocol.name) == ("aloud", "echo")
    assert "    aloud               Says it back.\n" in help_text(load_plugins([]))


def test_a_loose_plugin_brings_an_experiment(tmp_path: Path) -> None:
    plugin = bringing(tmp_path / "it's loose, [here]")
    assert compose(["experiment=aloud", f"plugins.path={plugin}"]).experiment.name == "aloud"


def test_experiments_of_the_user_and_of_plugins_build_on_one_another(installed: Path, tmp_path: Path) -> None:
    plugin = bringing(tmp_path / "loose", "network/atlantic", "defaults: [wan_aws]\nregions: [us-east-1, eu-west-1]\n")
    config(
        tmp_path / "mine",
        "experiment/mine",
        GLOBAL + "defaults:\n  - aloud\n  - override /network: atlantic\nnodes: 4\n",
    )
    composed = compose(["experiment=mine", f"plugins.path={plugin}"], str(tmp_path / "mine"))
    assert (composed.experiment.protocol.name, len(composed.experiment.nodes)) == ("echo", 4)
    assert composed.experiment.network_config.regions == ("us-east-1", "eu-west-1")


def test_an_experiment_of_an_installed_plugin_names_loose_ones(installed: Path, tmp_path: Path) -> None:
    oracle = write_plugin(tmp_path, PROTOCOL.replace('operations=("ask",)', 'operations=("echo",)'))
    config(installed, "experiment/asking", ECHO.replace(": echo", ": oracle", 1) + f"plugins: {{path: ['{oracle}']}}\n")
    assert compose(["experiment=asking"]).experiment.protocol.name == "oracle"
    assert "oracle" in load_plugins(["experiment=asking"]).names("protocol")


def test_plugins_are_looked_for_once(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from framework.registry import registry

    counted = []
    found = registry.installed
    monkeypatch.setattr("framework.registry.registry.installed", lambda: counted.append(1) or found())
    compose(["experiment=aloud"])
    assert counted == [1]


def test_a_mistake_in_a_file_of_a_plugin_is_told_with_the_file(installed: Path) -> None:
    file = config(installed, "experiment/odd", ECHO + "nodes: many\n")
    assert refusal("experiment=odd").startswith(f"{file}: nodes: ")
    file = config(installed, "experiment/astray", ECHO + "  - override /network: lna\n")
    assert refusal("experiment=astray").startswith(
        f"{file}: network=lna: there is no network 'lna'. Did you mean 'lan'?"
    )


def test_what_is_misspelt_is_answered_with_the_experiment_of_a_plugin(installed: Path) -> None:
    assert refusal("experiment=alout").endswith("there is no experiment 'alout'. Did you mean 'aloud'?")


def test_who_asks_for_a_config_of_a_broken_plugin_is_told_what_is_wrong_with_it(tmp_path: Path) -> None:
    plugin = write_plugin(tmp_path, FOLDERS)
    said = refusal("experiment=aloud", f"plugins.path={plugin}")
    assert said.startswith("command line: experiment=aloud: there is no experiment 'aloud'")
    assert f"{plugin.stem}: register_config_folders: there is no folder {tmp_path / 'conf'}." in said


def test_no_plugin_has_a_file_of_the_name_of_one_of_ours(installed: Path) -> None:
    file = config(installed, "experiment/hello")
    assert refusal("experiment=aloud") == (
        f"plugin herald: {file} has the name of one of Synod's own configs, conf/experiment/hello.yaml. "
        "Rename it, or uninstall the plugin."
    )


def test_no_two_plugins_have_files_of_one_name(installed: Path, tmp_path: Path) -> None:
    plugin = bringing(tmp_path / "loose")
    first, second = installed / "experiment/aloud.yaml", tmp_path / "loose/conf/experiment/aloud.yaml"
    assert refusal("experiment=hello", f"plugins.path={plugin}") == (
        f"plugins herald and {plugin.stem}: both bring experiment/aloud.yaml: {first} and {second}. "
        "Rename one, or uninstall one of the plugins."
    )


def test_the_user_has_no_file_of_the_name_of_a_plugins(installed: Path, tmp_path: Path) -> None:
    mine = config(tmp_path / "mine", "experiment/aloud")
    assert refusal("experiment=aloud", config_dir=tmp_path / "mine") == (
        f"{mine}: has the name of a config of plugin herald, {installed / 'experiment/aloud.yaml'}. Rename yours."
    )


@pytest.mark.parametrize("own", [True, False])
def test_a_folder_that_is_named_twice_is_searched_once(installed: Path, tmp_path: Path, own: bool) -> None:
    again = write_plugin(tmp_path, FOLDERS.replace('Path(__file__).parent / "conf"', f'"{installed}", "{CONF}"'))
    composed = compose(["experiment=aloud", f"plugins.path={again}"], str(installed) if own else None)
    assert composed.experiment.name == "aloud"
