"""Synod under pytest: judged runs, scenario files and the conformance kit as tests.

    @pytest.mark.synod(experiment="my_chaos", seeds=200)
    def test_keeps_its_promise(run):
        assert run.result["operations"]["ok"] > 100

takes the experiment once for each seed, each an item of its own: `test_keeps_its_promise[seed=17]`. A run that is not
`valid` fails the test before its body runs, with the evidence and the commands that take it again. The argument `run`
may be left out; it is a `framework.JudgedRun`.

| argument of the mark | |
| --- | --- |
| `experiment` | as in `experiment=NAME` on the command line |
| `seeds` | how many seeds from 0 on, or the seeds; one unless it is given |
| `overrides` | more settings, as on the command line: `["nodes=5", "faults=chaos"]` |
| `config_dir` | a folder of config groups, relative to pytest's root |
| `engine` | `"sim"` unless it is given |
| `verdict` | the verdict that each run must have; None leaves that to the body |

    @pytest.mark.synod_conformance("my_protocol")
    def test_conforms():
        pass

is an item for each check of `framework.testing.conformance.checks`, whose arguments it takes (`overrides` as a list);
the argument `check` may be left out. Several names are several protocols.

A file called `*.scenario` is a test by itself (`framework.testing.scenario` has its commands).

| option | |
| --- | --- |
| `--synod-seeds N` | N seeds for each marked test, from its first seed on |
| `--synod-seed SEED` | this seed alone |
| `--synod-rewrite` | writes what scenarios print into their files |
| ini `synod_scenarios` | what names of scenario files match, instead of `*.scenario` |
| ini `synod_plugins` | files or folders of plugins that are not installed, relative to the ini file |

`synod_plugins` are the `plugins.path` of all of these tests that set none. The folder of a run is kept, and named, if
its test fails.

pytest imports this module in every session: what is heavy is imported when a test needs it.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import traceback
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from framework.core.errors import ConfigError, SynodError, did_you_mean

if TYPE_CHECKING:
    from framework.config.resolve import Composed
    from framework.testing.conformance import Check
    from framework.testing.judged_run import JudgedRun

RUNS, CONFORMANCE = "synod", "synod_conformance"
"""The marks."""

VERDICTS = ("valid", "invalid", "unknown")

_THE_MARKS = {
    "experiment": 'Write experiment="NAME" in the mark.',
    "engine": 'Write engine="NAME" in the mark.',
    "seed": "Write seeds=[SEED] in the mark.",
    "run.dir": "Leave it out: each run has a folder of its own.",
}
"""The keys that no override of a mark sets, and what to do instead."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("synod", "Synod, runs of distributed protocols")
    group.addoption("--synod-seeds", type=_count, metavar="N", help="take N seeds for each test marked synod")
    group.addoption("--synod-seed", type=int, metavar="SEED", help="take this seed alone")
    group.addoption("--synod-rewrite", action="store_true", help="write what scenarios print into their files")
    parser.addini("synod_scenarios", "names of scenario files (patterns)", type="args", default=["*.scenario"])
    parser.addini("synod_plugins", "files or folders of plugins that are not installed", type="paths", default=[])


def pytest_configure(config: pytest.Config) -> None:
    arguments = ", ".join(field.name for field in fields(_RunMark))
    config.addinivalue_line("markers", f"{RUNS}({arguments}): takes a run for each seed, and judges it")
    arguments = ", ".join(field.name for field in fields(_ConformanceMark))
    config.addinivalue_line("markers", f"{CONFORMANCE}(*{arguments}): holds protocols to the conformance kit")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    item = metafunc.definition
    with _one_line_at_collection():
        mark = item.get_closest_marker(RUNS)
        if mark is not None:
            asked = _read_run(item, mark)
            _composed(item, asked)
            seeds = _seeds(item.config, asked)
            _parametrize(metafunc, "run", seeds, [f"seed={seed}" for seed in seeds])
        kits = [check for mark in item.iter_markers(CONFORMANCE) for check in _checks(item, mark)]
        if kits:
            _parametrize(metafunc, "check", kits, [str(check) for check in kits])


def pytest_itemcollected(item: pytest.Item) -> None:
    """A marked test has its run or check made whether it takes that as an argument or not."""
    callspec = getattr(item, "callspec", None)
    for name, mark in (("run", RUNS), ("check", CONFORMANCE)):
        is_marked = callspec is not None and name in callspec.params and item.get_closest_marker(mark) is not None
        if is_marked and isinstance(item, pytest.Function) and name not in item.fixturenames:
            item.fixturenames.append(name)


def pytest_collection_finish(session: pytest.Session) -> None:
    """All that is loaded by now stays: the simulator, which collects before each run, need not look at it again."""
    if _COMPOSED in session.config.stash:
        from framework.engine.sim.engine import settle_collector

        settle_collector()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Fails a test for the verdict of its run, or for the check that it makes, before its body runs."""
    if (made := pyfuncitem.stash.get(_MADE, None)) is not None:
        _make(pyfuncitem, *made)
    judged = pyfuncitem.stash.get(_JUDGED, None)
    mark = pyfuncitem.get_closest_marker(RUNS)
    if judged is not None and mark is not None:
        wanted = _read_run(pyfuncitem, mark).verdict
        if wanted is not None and judged.verdict != wanted:
            due = "" if wanted == "valid" else f"The test is for runs that are {wanted}.\n"
            pytest.fail(f"{judged.story}\n{due}{_traces_of(pyfuncitem, judged)}", pytrace=False)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    judged = item.stash.get(_JUDGED, None)
    if judged is not None and call.when == "call" and report.failed:
        item.stash[_KEPT] = True
        shown = str(report.longrepr)
        if str(judged.folder) not in shown:  # the body failed
            report.sections.append((f"{judged!r}", _traces_of(item, judged).strip("\n")))
    return report


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgedRun]:
    """The run of a test marked `synod`, judged: framework.JudgedRun."""
    item, mark = request.node, request.node.get_closest_marker(RUNS)
    if mark is None or not hasattr(request, "param"):
        pytest.fail('run: the test has no mark. Write @pytest.mark.synod(experiment="NAME") above it.', pytrace=False)
    from framework.testing.judged_run import take

    asked = _read_run(item, mark)
    with _one_line_when_run():
        run_dir = tmp_path_factory.mktemp(re.sub(r"\W+", "_", item.name).strip("_"))
        judged = take(_composed(item, asked), request.param, run_dir, _command(item, asked, request.param))
    item.stash[_JUDGED] = judged
    yield judged
    if not item.stash.get(_KEPT, False):
        shutil.rmtree(judged.folder, ignore_errors=True)


@pytest.fixture
def check(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Check:
    """The check that a test marked `synod_conformance` makes before its body runs."""
    if request.node.get_closest_marker(CONFORMANCE) is None or not hasattr(request, "param"):
        fix = 'Write @pytest.mark.synod_conformance("PROTOCOL") above it.'
        pytest.fail(f"check: the test has no mark. {fix}", pytrace=False)
    made: Check = request.param
    request.node.stash[_MADE] = (made, tmp_path_factory.mktemp(made.name))
    return made


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if any(file_path.match(pattern) for pattern in parent.config.getini("synod_scenarios")):
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


class ScenarioFile(pytest.File):
    """A scenario script."""

    def collect(self) -> Iterable[pytest.Item]:
        yield ScenarioItem.from_parent(self, name="scenario")


class ScenarioItem(pytest.Item):
    """Plays a script from its first block to its last, and compares."""

    def runtest(self) -> None:
        from framework.testing.scenario import check_scenario

        check_scenario(self.path, plugins=_plugins(self.config), rewrite=self.config.getoption("--synod-rewrite"))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from framework.console.formatting import shortened
        from framework.testing.golden import OutputDiffers

        if isinstance(excinfo.value, OutputDiffers):
            accept = f"python -m pytest {_typed(self)} --synod-rewrite"
            return f"{excinfo.value}\n\n- expected by the file, + actual output. To accept the actual output: {accept}"
        if isinstance(excinfo.value, SynodError):
            return str(excinfo.value)
        return shortened("".join(traceback.format_exception(excinfo.value)))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.path.name


@dataclass(frozen=True)
class _RunMark:
    """The arguments of `@pytest.mark.synod`, in the order in which they may be given without their names."""

    experiment: str | None = None
    seeds: int | Iterable[int] = 1
    overrides: Sequence[str] = ()
    config_dir: str | os.PathLike[str] | None = None
    engine: str = "sim"
    verdict: str | None = "valid"


@dataclass(frozen=True)
class _ConformanceMark:
    """The arguments of `@pytest.mark.synod_conformance`; the protocols are its positional arguments."""

    protocols: Sequence[str] = ()
    overrides: Sequence[str] = ()
    engines: Sequence[str] = ("sim", "ray")
    config_dir: str | os.PathLike[str] | None = None


M = TypeVar("M", _RunMark, _ConformanceMark)

_COMPOSED = pytest.StashKey[dict[tuple[Any, ...], Any]]()
"""The session's experiments: each is composed once for all its seeds."""
_JUDGED = pytest.StashKey["JudgedRun"]()
_KEPT = pytest.StashKey[bool]()
_MADE = pytest.StashKey["tuple[Check, Path]"]()


def _read_run(item: pytest.Item, mark: pytest.Mark) -> _RunMark:
    """The mark's arguments. ConfigError that names the test for one that cannot be."""
    where = item.nodeid.partition("[")[0]
    names = [field.name for field in fields(_RunMark)]
    if len(mark.args) > len(names):
        raise ConfigError(where, f"@pytest.mark.{RUNS} takes {', '.join(names)}", "Leave the rest out.")
    asked = _with_names(_RunMark, where, mark, dict(zip(names, mark.args, strict=False)))
    seeds: Any = asked.seeds if isinstance(asked.seeds, int) else list(asked.seeds)
    if isinstance(seeds, bool) or seeds in (0, []) or (isinstance(seeds, int) and seeds < 0):
        raise ConfigError(where, f"seeds={asked.seeds} names no seeds", "Write seeds=200, or seeds=[3, 17].")
    if isinstance(seeds, list) and not all(type(seed) is int for seed in seeds):
        raise ConfigError(where, f"seeds={asked.seeds!r} are not whole numbers", "Write seeds=200, or seeds=[3, 17].")
    if asked.verdict is not None and asked.verdict not in VERDICTS:
        fix = did_you_mean(str(asked.verdict), VERDICTS)
        raise ConfigError(where, f"there is no verdict {asked.verdict!r}", fix)
    return asked


def _with_names(kind: type[M], where: str, mark: pytest.Mark, given: dict[str, Any]) -> M:
    """The arguments of a mark. ConfigError for one that there is not, or a list that is none."""
    names = [field.name for field in fields(kind)]
    for name in mark.kwargs:
        if name not in names or name in given:
            what = f"is given twice: {name!r}" if name in given else f"has no argument {name!r}"
            raise ConfigError(where, f"@pytest.mark.{mark.name} {what}", did_you_mean(name, set(names) - set(given)))
    asked = kind(**given, **mark.kwargs)
    for name in ("overrides", "engines"):
        value = getattr(asked, name, ())
        if isinstance(value, str) or not all(isinstance(one, str) for one in value):
            raise ConfigError(where, f"{name}={value!r} is not a list of strings", f'Write {name}=["…", "…"].')
    return asked


def _seeds(config: pytest.Config, asked: _RunMark) -> list[int]:
    """The seeds of a test: the command line's, or else the mark's."""
    only, count = config.getoption("--synod-seed"), config.getoption("--synod-seeds")
    if only is not None:
        return [only]
    seeds = list(range(asked.seeds)) if isinstance(asked.seeds, int) else list(asked.seeds)
    return seeds if count is None else list(range(seeds[0], seeds[0] + count))


def _settings(item: pytest.Item, asked: _RunMark) -> tuple[list[str], str | None]:
    """The overrides of a test's runs, but for the seed, and the folder of configs, as a person types them."""
    from framework.testing.overrides import typed, with_plugins

    chosen = [f"experiment={asked.experiment}"] if asked.experiment is not None else []
    overrides = with_plugins([*chosen, f"engine={asked.engine}", *asked.overrides], _plugins(item.config))
    return overrides, None if asked.config_dir is None else typed(item.config.rootpath / asked.config_dir)


def _composed(item: pytest.Item, asked: _RunMark) -> Composed:
    """The experiment of a test's runs, which differ in their seeds. ConfigError for a mistake in the mark."""
    from framework.config.compose import compose
    from framework.testing.overrides import keys_set

    overrides, config_dir = _settings(item, asked)
    known = item.config.stash.setdefault(_COMPOSED, {})
    key = (*overrides, config_dir)
    if key not in known:
        where = item.nodeid.partition("[")[0]
        keys = keys_set(asked.overrides)
        for name, fix in _THE_MARKS.items():
            if name in keys:
                raise ConfigError(where, f"overrides set {name}", fix)
        try:
            known[key] = compose(overrides, config_dir)
        except SynodError as error:
            raise ConfigError(where, str(error).removeprefix("command line: ")) from error
    composed: Composed = known[key]
    return composed


def _checks(item: pytest.Item, mark: pytest.Mark) -> list[Check]:
    """The checks that a mark asks for."""
    from framework.testing.conformance import checks
    from framework.testing.overrides import with_plugins

    where = item.nodeid
    if not mark.args or not all(isinstance(name, str) for name in mark.args):
        fix = 'Write @pytest.mark.synod_conformance("PROTOCOL").'
        raise ConfigError(where, f"@pytest.mark.{CONFORMANCE} names no protocol", fix)
    asked = _with_names(_ConformanceMark, where, mark, {"protocols": mark.args})
    overrides = with_plugins(asked.overrides, _plugins(item.config))
    config_dir = None if asked.config_dir is None else item.config.rootpath / asked.config_dir
    found: list[Check] = []
    for protocol in asked.protocols:
        try:
            found += checks(protocol, *overrides, engines=asked.engines, config_dir=config_dir)
        except SynodError as error:
            raise ConfigError(where, str(error).removeprefix("command line: ")) from error
    return found


def _make(item: pytest.Item, check: Check, folder: Path) -> None:
    """Makes a check. Keeps its folder if the protocol fails it."""
    from framework.testing.conformance import NotConforming

    told = ""
    try:
        check.run(folder)
    except (NotConforming, SynodError) as error:
        told = f"{check}: {error}\n\nruns: {folder}"
    if told:
        pytest.fail(told, pytrace=False)
    shutil.rmtree(folder, ignore_errors=True)


def _command(item: pytest.Item, asked: _RunMark, seed: int) -> str:
    """Returns the command that repeats a test's run, as the command line prints it."""
    from framework.runs.commands import replay_command

    overrides, config_dir = _settings(item, asked)
    return replay_command(overrides, config_dir, seed)


def _traces_of(item: pytest.Item, judged: JudgedRun) -> str:
    """Returns the commands that repeat a run, and its folder."""
    from framework.testing.judged_run import to_see_it_again

    again = to_see_it_again(judged.command, f"python -m pytest {_typed(item)} --synod-seed={judged.seed}")
    return "\n".join([*again, f"run: {judged.folder}"])


def _typed(item: pytest.Item) -> str:
    """A test without its parameters, as a person types it."""
    file = os.path.relpath(item.path, item.config.invocation_params.dir)
    names = item.nodeid.split("::")[1:] if isinstance(item, pytest.Function) else []
    return shlex.quote("::".join([file, *names[:-1], *[name.partition("[")[0] for name in names[-1:]]]))


def _plugins(config: pytest.Config) -> list[str]:
    return [str(path) for path in config.getini("synod_plugins")]


def _parametrize(metafunc: pytest.Metafunc, name: str, values: Sequence[Any], ids: Sequence[str]) -> None:
    """Makes an item for each value of the fixture `name`, also of a test that does not take it (see
    `pytest_itemcollected`)."""
    if name not in metafunc.fixturenames:
        metafunc.fixturenames.append(name)
    metafunc.parametrize(name, values, indirect=True, ids=ids)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


@contextmanager
def _one_line_at_collection() -> Iterator[None]:
    """A mistake in a mark is reported without a traceback."""
    try:
        yield
    except SynodError as error:
        raise pytest.Collector.CollectError(str(error)) from None


@contextmanager
def _one_line_when_run() -> Iterator[None]:
    """A run that is refused is reported without a traceback."""
    told = ""
    try:
        yield
    except SynodError as error:
        told = str(error)
    if told:
        pytest.fail(told, pytrace=False)
