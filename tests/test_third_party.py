"""A protocol from outside the repository, with a workload and a checker of its own, runs like a built-in one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from framework.registry.discovery import ROOT
from tests.installing import install, python, run
from tests.parrot import CHOICES, EXPERIMENT, lay_file, lay_folder, lay_package

pytestmark = pytest.mark.long

ENGINES = [
    pytest.param(("engine=sim", "duration=300ms"), id="sim"),
    pytest.param(("engine=ray", "duration=1s"), id="ray", marks=pytest.mark.ray),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the package."""
    base = tmp_path_factory.mktemp("third")
    install(lay_package(base / "source"), base / "site")
    return base / "site"


def runs(words: tuple[str, ...], cwd: Path, path: list[Path], choices: tuple[str, ...] = CHOICES) -> None:
    ended = run(*choices, *words, "--quiet", "run.dir=mine", cwd=cwd, path=path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "verdict: valid\nrun: mine\n", "")
    result = json.loads((cwd / "mine" / "result.json").read_bytes())
    (check,) = result["checks"]
    assert (check["name"], check["verdict"]) == ("twice", "valid")
    assert check["operations"] == result["operations"]["ok"] > 10


@pytest.mark.parametrize("engine", ENGINES)
def test_a_package_that_pip_installed_is_found_by_its_entry_points(
    engine: tuple[str, ...], site: Path, tmp_path: Path
) -> None:
    runs(engine, tmp_path, [ROOT, site])


@pytest.mark.parametrize("engine", ENGINES[:1])
def test_a_loose_file_is_named_by_plugins_path(engine: tuple[str, ...], tmp_path: Path) -> None:
    file = lay_file(tmp_path / "elsewhere")
    (tmp_path / "here").mkdir()
    runs((*engine, f"plugins.path={file}"), tmp_path / "here", [ROOT])


@pytest.mark.parametrize("engine", ENGINES[:1])
def test_a_loose_folder_is_named_by_plugins_path_from_where_one_stands(engine: tuple[str, ...], tmp_path: Path) -> None:
    lay_folder(tmp_path / "birds")
    runs((*engine, "plugins.path=birds"), tmp_path, [ROOT])


def test_the_same_seed_gives_the_same_run_wherever_the_protocol_lies(site: Path, tmp_path: Path) -> None:
    lay_file(tmp_path / "birds")
    words = (*CHOICES, "engine=sim", "duration=300ms", "seed=4", "--quiet")
    run(*words, "run.dir=loose", "plugins.path=birds/loose_parrot.py", cwd=tmp_path)
    run(*words, "run.dir=installed", cwd=tmp_path, path=[ROOT, site])
    digests = [json.loads((tmp_path / name / "result.json").read_bytes())["digest"] for name in ("loose", "installed")]
    assert digests[0] == digests[1]


def test_what_is_installed_is_listed_with_where_it_comes_from(site: Path, tmp_path: Path) -> None:
    listed = python("-m", "framework.plugins", "protocol", "parrot", cwd=tmp_path, path=[ROOT, site])
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "from synod_parrot.bird" in listed.stdout
    assert "protocol.times=2" in listed.stdout


@pytest.mark.parametrize("engine", ENGINES[:1])
def test_an_experiment_that_the_package_ships_runs_from_any_folder(
    engine: tuple[str, ...], site: Path, tmp_path: Path
) -> None:
    runs(engine, tmp_path, [ROOT, site], choices=("experiment=pirate",))


def test_an_experiment_that_the_package_ships_is_listed(site: Path, tmp_path: Path) -> None:
    helped = run("--help", cwd=tmp_path, path=[ROOT, site])
    assert (helped.returncode, helped.stderr) == (0, "")
    assert "    pirate              Two words, said twice.\n" in helped.stdout
    listed = python("-m", "framework.plugins", cwd=tmp_path, path=[ROOT, site])
    folder = site / "synod_parrot" / "conf"
    shown = f"config folders (1)\n  {folder}\n    from synod_parrot.configs\n    experiment=pirate\n"
    assert listed.stdout.endswith(shown)


def test_an_experiment_of_the_users_and_one_of_the_packages_have_not_one_name(site: Path, tmp_path: Path) -> None:
    mine = tmp_path / "conf" / "experiment" / "pirate.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text(EXPERIMENT)
    ended = run("experiment=pirate", "engine=sim", "--config-dir", "conf", cwd=tmp_path, path=[ROOT, site])
    theirs = site / "synod_parrot" / "conf" / "experiment" / "pirate.yaml"
    what = f"has the name of a config of plugin synod_parrot.configs, {theirs}. Rename yours."
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"conf/experiment/pirate.yaml: {what}\n"


def test_a_package_whose_configs_were_not_installed_is_named(site: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(site, bare)
    shutil.rmtree(bare / "synod_parrot" / "conf")
    missing = f"register_config_folders: there is no folder {bare / 'synod_parrot' / 'conf'}."
    ended = run("experiment=pirate", "engine=sim", cwd=tmp_path, path=[ROOT, bare])
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith("command line: experiment=pirate: there is no experiment 'pirate'")
    assert missing in ended.stderr

    other = run("experiment=hello", "engine=sim", "duration=300ms", "--quiet", cwd=tmp_path, path=[ROOT, bare])
    assert other.returncode == 0
    assert other.stderr.startswith("warning: plugin synod_parrot.configs is left out: ") and missing in other.stderr


def test_it_is_faulted_and_restarted_like_a_built_in_protocol(site: Path, tmp_path: Path) -> None:
    words = ("engine=sim", "duration=5s", "faults=crash", "faults.crash.at=1s", "workload.timeout=500ms")
    ended = run(*CHOICES, *words, "--quiet", "run.dir=mine", cwd=tmp_path, path=[ROOT, site])
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads((tmp_path / "mine" / "result.json").read_bytes())["faults"]["crash"] > 0
