"""A wheel of Synod, installed elsewhere, is all that a run needs."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from framework.registry.discovery import ROOT
from tests.installing import install, pip, python, run

PARTS = ("framework", "plugins", "conf")
LATER = "conf/group_of_later/choice.yaml"
"""A file of a config group that is not there yet."""

SOURCES = (*PARTS, "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the repository keeps no trace of it."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    (source / LATER).parent.mkdir()
    (source / LATER).touch()
    built = tmp_path_factory.mktemp("built")
    pip("wheel", "--no-build-isolation", "--wheel-dir", built, ".", cwd=source)
    (wheel,) = built.glob("synod-*.whl")
    return wheel


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed") / "site"
    install(wheel, folder)
    return folder


def test_the_wheel_holds_every_file_of_framework_plugins_and_configs(wheel: Path) -> None:
    ours = {file.relative_to(ROOT).as_posix() for part in PARTS for file in (ROOT / part).rglob("*") if file.is_file()}
    ours = {name for name in ours if "__pycache__" not in name}
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in packed if ".dist-info/" not in name} == ours | {LATER}
    assert {
        "framework/py.typed",
        "plugins/networks/data/gcp.csv",
        "plugins/networks/data/LICENSE-MIT.fantoch",
    } <= packed


def test_its_metadata_name_the_licence_of_the_code_and_of_the_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        (name,) = [name for name in packed.namelist() if name.endswith(".dist-info/METADATA")]
        lines = packed.read(name).decode().splitlines()
        licences = [name for name in packed.namelist() if "/licenses/" in name]
    assert "License-Expression: Apache-2.0 AND MIT" in lines
    assert "Requires-Python: >=3.11" in lines
    assert sorted(Path(name).name for name in licences) == ["LICENSE", "LICENSE-MIT.fantoch", "LICENSE.uPlot"]


def test_an_installed_synod_runs_an_experiment_from_an_empty_folder(site: Path, tmp_path: Path) -> None:
    ended = run("experiment=hello", "engine=sim", "run.dir=mine", cwd=tmp_path, path=[site])
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-2:] == ["verdict: valid", "run: mine"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def test_an_installed_synod_imports_itself_and_reads_its_measured_latencies(site: Path, tmp_path: Path) -> None:
    script = "import framework, plugins; print(framework.__file__); print(plugins.__file__)"
    ended = python("-c", script, cwd=tmp_path, path=[site])
    assert ended.stdout.splitlines() == [str(site / "framework/__init__.py"), str(site / "plugins/__init__.py")]

    ended = run("experiment=raft_wan", "engine=sim", "duration=2s", "run.dir=wan", cwd=tmp_path, path=[site])
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_console_command_is_installed_and_runs_where_other_folders_have_our_names(
    site: Path, tmp_path: Path
) -> None:
    """Its first line names the Python that pip ran on; here the script is given to this one."""
    (tmp_path / "framework").mkdir()
    (tmp_path / "framework" / "__init__.py").write_text("raise ImportError")
    command = str(site / "bin" / "synod")
    ended = python(command, "--version", cwd=tmp_path, path=[site])
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "synod 0.2.0\n", "")
    ended = python(
        command, "run", "experiment=hello", "engine=sim", "--quiet", "run.dir=mine", cwd=tmp_path, path=[site]
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "verdict: valid\nrun: mine\n", "")


def test_an_installed_synod_writes_a_protocol_into_the_users_folder_and_runs_it(site: Path, tmp_path: Path) -> None:
    ended = python("-m", "framework.new", "protocol", "notebook", cwd=tmp_path, path=[site])
    assert (ended.returncode, ended.stderr) == (0, "")
    (command,) = [line for line in ended.stdout.splitlines() if line.startswith("run it: python ")]

    ran = python(*command.split()[3:], "duration=500ms", "--quiet", cwd=tmp_path, path=[site])
    assert (ran.returncode, ran.stderr) == (0, "")
    assert not (site / "plugins/protocols/notebook.py").exists()


def test_an_installed_synod_extends_pytest(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_PLUGINS", raising=False)
    mark = '@pytest.mark.synod("hello", seeds=3, overrides=["duration=20ms"])'
    (tmp_path / "test_hello.py").write_text(f"import pytest\n\n{mark}\ndef test_hello(run): pass\n")
    ended = python("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path, path=[site])
    assert ended.returncode == 0 and "3 passed" in ended.stdout, ended.stdout + ended.stderr
