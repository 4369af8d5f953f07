"""The conformance kit: the checks that every protocol must pass, whatever it does.

    @pytest.mark.synod_conformance("echo")
    def test_conforms():
        pass

is a test for each check (`framework.testing.pytest_plugin`). They are what `checks("echo")` returns.

The author's settings have precedence: the kit sets only what neither `overrides` nor an experiment among them sets.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from framework.checking.invariants import Invariant, Step
from framework.checking.verdict import Verdict
from framework.config.compose import compose, load_plugins
from framework.config.plain_mappings import is_part
from framework.config.resolve import Composed
from framework.core.errors import ConfigError, did_you_mean
from framework.core.node import Node
from framework.core.time import MILLISECOND, Duration, format_duration
from framework.engine.base import Experiment
from framework.registry.registry import Registry
from framework.registry.specs import WorkloadSpec
from framework.runs.commands import replay_command
from framework.runs.determinism import doubt_about
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.folder import claim, write_config
from framework.runs.result import RunResult
from framework.testing.judged_run import evidence, to_see_it_again
from framework.testing.overrides import keys_set, sets
from framework.trace.reader import open_run

MAX_STEPS = 200
"""Crashes are tried after each of the first steps of the scenario, this many at the most; so many steps are shown to
each invariant with a comparison."""

HOSTILE_SEEDS = 5
DOWN = 20 * MILLISECOND
"""Time for which a crashed node stays down."""

ENGINES = ("sim", "ray")

_SIZES = ("nodes=3", "clients=2", "workload.timeout=2s")
_HOSTILE_NETWORK = ("network=lossy", "network.loss=0.1", "network.duplicate=0.2", "network.reorder=0.3")
_THE_KITS = {
    "run.dir": "Leave it out: each run has a folder of its own.",
    "engine": 'Write engines=["sim"], ["ray"] or both.',
    "protocol": "Leave it out: the protocol is named before the overrides.",
}
"""The keys that are not the author's to set, and what to do instead."""


class NotConforming(AssertionError):
    """A protocol fails a check; the text shows why, and how to repeat it."""


@dataclass(frozen=True)
class Check:
    """One check of one protocol.

    `run(folder)` needs an empty folder of its own, and raises NotConforming with what it saw.

    ConfigError if the check cannot be made with the author's settings. A check on Ray starts Ray unless it is running.
    """

    protocol: str
    name: str
    run: Callable[[Path], None]
    ray: bool = False

    def __str__(self) -> str:
        return f"{self.protocol}-{self.name}"


@dataclass(frozen=True)
class Settings:
    """The settings of an author: overrides, and a folder of config groups. `keys` are the keys that these set."""

    overrides: tuple[str, ...]
    config_dir: str | None
    keys: frozenset[str]

    def sets(self, key: str) -> bool:
        """Returns whether the author sets `key`, or a key below or above it."""
        return sets(self.keys, key)

    def completed(self, *defaults: str) -> list[str]:
        """The overrides, and those of `defaults` that the author does not set."""
        free = [default for default in defaults if not self.sets(default.partition("=")[0])]
        return [*free, *self.overrides]

    def compose(self, *defaults: str, always: Sequence[str] = ()) -> Composed:
        """The experiment on the simulator, with `defaults` for what the author does not set, and `always` besides."""
        return _composed((*self.completed(*defaults), *(always or ("engine=sim",))), self.config_dir)

    def command(self, *defaults: str, seed: int) -> str:
        """Returns the command that repeats the run of `compose(*defaults)`."""
        return replay_command(["engine=sim", *self.completed(*defaults)], self.config_dir, seed)


def checks(
    protocol: str, *overrides: str, engines: Sequence[str] = ENGINES, config_dir: str | Path | None = None
) -> list[Check]:
    """All checks of a registered protocol on `engines`.

    `overrides` are settings that it needs, as on the command line; they have precedence. `config_dir` is a folder of
    the author's own config groups, as --config-dir names one. Without `workload=` or `experiment=` the first workload
    that fits is chosen, and so are the placement and the balancer of a protocol that needs one. ConfigError if there is
    none, or for an override that is not the author's to set.
    """
    for engine in engines:
        if engine not in ENGINES:
            fix = did_you_mean(engine, ENGINES)
            raise ConfigError(f"conformance of {protocol}", f"there is no engine {engine!r}", fix)
    asked = (protocol, overrides, None if config_dir is None else str(Path(config_dir).resolve()))
    if overrides:
        _settings(*asked)  # a mistake is reported now, and not by each check
    else:  # a collection of tests makes many of these: what can be wrong is the name
        _registry(asked[2]).get("protocol", protocol)
    found: list[Check] = []
    if "sim" in engines:
        found += [
            Check(protocol, check.__name__, partial(_made, check, asked))
            for check in (
                handlers_are_total,
                state_is_plain_data,
                invariants_only_observe,
                digest_ignores_the_hash_seed,
                survives_a_crash_at_every_step,
            )
        ]
    if "ray" in engines:
        found += [
            Check(protocol, f"runs_on_ray_by_{transport}", partial(_made, partial(_on_ray, transport), asked), ray=True)
            for transport in ("mesh", "actor_calls")
        ]
    return found


def _made(
    check: Callable[[Settings, Path], None], asked: tuple[str, tuple[str, ...], str | None], folder: Path
) -> None:
    """Makes a check with the settings that an author asks for."""
    check(_settings(*asked), folder)


def _on_ray(transport: str, settings: Settings, folder: Path) -> None:
    runs_on_ray(settings, transport, folder)


def handlers_are_total(settings: Settings, folder: Path) -> None:
    """Messages late, lost, doubled and out of order, and crashes: no handler raises and no client is lied to.

    A protocol that assumes that some of this does not happen may break its promises, but its handlers raise nothing.
    """
    _needs_trace(settings, "handlers_are_total", "full", "history")
    defaults = [] if settings.sets("network") else list(_HOSTILE_NETWORK)
    if not settings.sets("faults"):
        defaults += _crashes(settings.compose().experiment.duration)
    defaults += ["trace=history"]
    composed = settings.compose(*defaults)
    first = composed.experiment.seed
    for seed in range(first, first + HOSTILE_SEEDS):
        result = _run(composed, replace(composed.experiment, seed=seed, run_dir=folder / str(seed)))
        again = settings.command(*defaults, seed=seed)
        raised = any(crash.traceback for crash in result.crashes)
        _require(not raised, _told(f"seed {seed}: a handler raised", result, again))
        is_judged = not composed.experiment.protocol.assumes
        is_true = not is_judged or result.verdict is not Verdict.INVALID
        _require(is_true, _told(f"seed {seed}: {result.summary}", result, again))


def state_is_plain_data(settings: Settings, folder: Path) -> None:
    """At the end of a run the state of every node can be copied, compared and printed."""
    from framework.core.plain_state import copy_plain
    from framework.engine.sim.simulation import Simulation

    run = Simulation(replace(settings.compose().experiment, run_dir=folder))
    run.run()
    run.recording.close()
    for name, hosted in run.nodes.items():
        if hosted.runtime is None:
            raise NotConforming(f"{name} is down: {[crash.why for crash in run.crashes]}")
        for path, node in hosted.runtime.nodes.items():
            state = node.state()
            where = f"{name}/{path}".rstrip("/")
            _require(copy_plain(state, where) == state, f"the copy of {where}'s state differs from it")
            _require(bool(repr(state)), f"{where}'s state cannot be printed")


def invariants_only_observe(settings: Settings, folder: Path) -> None:
    """No invariant of the protocol changes a node that it observes, in the first steps of a run."""
    from framework.engine.sim.engine import SimEngine

    changes: list[str] = []
    experiment = settings.compose().experiment
    invariants = tuple(_comparing(invariant, changes) for invariant in experiment.protocol.invariants)
    protocol = replace(experiment.protocol, invariants=invariants)
    SimEngine().run(replace(experiment, protocol=protocol, run_dir=folder), lambda time, tally: None)
    _require(not changes, "\n".join(changes))


def _comparing(invariant: type[Invariant[Any]], changes: list[str]) -> type[Invariant[Any]]:
    """Returns a subclass that adds a line to `changes` for the first change that `invariant` makes to a node."""
    left = MAX_STEPS

    def observe(self: Invariant[Any], step: Step, node: Node) -> None:
        nonlocal left
        before = node.state() if left > 0 else None
        left -= 1
        try:
            invariant.observe(self, step, node)
        finally:
            after = before if before is None else node.state()
            if before != after and before is not None and after is not None:
                left = 0
                changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
                changes.append(f"{invariant.__qualname__}.observe changes {', '.join(changed)} of {step.node}")

    return type(invariant.__name__, (invariant,), {"observe": observe, "__qualname__": invariant.__qualname__})


def digest_ignores_the_hash_seed(settings: Settings, folder: Path) -> None:
    """Another process, with another hash seed, makes the same run, event by event."""
    _needs_trace(settings, "digest_ignores_the_hash_seed", "full", "history")
    composed = settings.compose()
    first = folder / "first"
    write_config(claim(first), {**composed.config, "run": {"dir": str(first)}})
    result = _run(composed, replace(composed.experiment, run_dir=first))
    doubt = doubt_about(lambda: open_run(first), result.digest)
    told = "the run depends on the order of a set, on hash() or on id(): iterate over sorted(...) or over a dict"
    _require(not doubt, f"{told}\n{doubt}")


def survives_a_crash_at_every_step(settings: Settings, folder: Path) -> None:
    """After each step of a run in turn, its node crashes (in the middle of its commit, if it has one) and restarts.

    There are no other faults: ConfigError if the author's settings ask for some. A protocol that assumes that nobody
    crashes may break its promises, but its handlers raise nothing.
    """
    where = "survives_a_crash_at_every_step"
    _needs_trace(settings, where, "full")
    defaults = ("engine.disk_latency=1ms", "workload.think_time=40ms", "trace=full")
    base = settings.compose(*defaults)
    if base.experiment.faults:
        asked = ", ".join(name for name, _, _ in base.experiment.faults)
        fix = "Leave faults out of the overrides, and judge a run under them with @pytest.mark.synod."
        raise ConfigError(where, f"brings its own crashes and allows no other faults, here {asked}", fix)
    result = _run(base, replace(base.experiment, run_dir=folder / "calm"))
    again = settings.command(*defaults, seed=base.experiment.seed)
    _require(result.verdict is Verdict.VALID, _told(f"without any crash: {result.summary}", result, again))
    crash: Any = base.experiment.fault_kinds.specs["crash"]
    for number, (time, node) in enumerate(_steps(folder / "calm", base.experiment)):
        at = crash.config(at=Duration(time + 1), lasts=Duration(DOWN), target=node)
        there = folder / f"crash-{number}"
        result = _run(base, replace(base.experiment, run_dir=there, faults=(("crash", crash, at),), trace="history"))
        when = f"{node} crashes after its step at {format_duration(time)}"
        raised = any(crashed.traceback for crashed in result.crashes)
        _require(result.faults.get("crash") == 1 or raised, f"{when}: it did not happen")
        is_judged = "no_crash" not in base.experiment.protocol.assumes
        if raised or (is_judged and result.verdict is Verdict.INVALID):
            seed, completed = base.experiment.seed, settings.completed(*defaults)
            again = _crash_command(completed, settings.config_dir, seed, time + 1, node)
            what = "a handler raised" if raised else result.summary
            raise NotConforming(_told(f"{when}: {what}", result, again))


def runs_on_ray(settings: Settings, transport: str, folder: Path) -> None:
    """The same contract on real actors."""
    composed = settings.compose(always=("engine=ray", f"engine.transport={transport}"))
    result = _run(composed, replace(composed.experiment, run_dir=folder))
    _require(result.verdict is Verdict.VALID, _told(result.summary, result, ""))


@lru_cache(maxsize=8)
def _composed(overrides: tuple[str, ...], config_dir: str | None) -> Composed:
    """The experiment that several checks of a protocol start from."""
    return compose(overrides, config_dir)


@cache
def _registry(config_dir: str | None) -> Registry:
    """The plugins that are there without being named."""
    return load_plugins([], config_dir)


@cache
def _settings(protocol: str, overrides: tuple[str, ...], config_dir: str | None) -> Settings:
    """Returns the author's settings, a workload, and the kit's own sizes unless an experiment has some."""
    where = f"conformance of {protocol}"
    keys = keys_set(overrides)
    for key, fix in _THE_KITS.items():
        if key in keys:
            raise ConfigError(where, f"{key} is the kit's to set", fix)
    chosen = (f"protocol={protocol}", *overrides)
    if "experiment" in keys:
        return Settings(chosen, config_dir, frozenset(keys | _keys_of(compose([*chosen, "engine=sim"], config_dir))))
    registry = load_plugins(chosen, config_dir)
    parts = _parts(registry, protocol, keys)
    chosen, keys = (*chosen, *parts), keys | keys_set(parts)
    if "workload" not in keys:
        chosen = (*chosen, _workload(registry, where, protocol, chosen, config_dir))
    settings = Settings(chosen, config_dir, frozenset(keys))
    duration = "5s" if settings.sets("faults") else "1s"  # by default a fault is injected after 1s
    settings = replace(settings, overrides=tuple(settings.completed(*_SIZES, f"duration={duration}")))
    settings.compose()
    return settings


def _keys_of(composed: Composed) -> set[str]:
    """Of the keys for which the kit has settings, those that an experiment sets."""
    config = composed.config
    asked = {
        "network": config["network"]["name"] != "perfect",
        "faults": bool(config["faults"]),
        "trace": config["trace"]["level"] != "full",
        "workload.think_time": composed.experiment.workload_config.think_time > 0,
        "engine.disk_latency": composed.experiment.engine_config.disk_latency > 0,
        "duration": True,
    }
    return {key for key, is_asked in asked.items() if is_asked}


def _parts(registry: Registry, protocol: str, keys: Collection[str]) -> list[str]:
    """The first placement or balancer, for a protocol that is given one, and the number of nodes, if its roles have no
    other; unless the author chooses them."""
    spec = registry.get("protocol", protocol)
    wanted = [group for group in ("placement", "balancer") if spec.config is not None and is_part(spec.config, group)]
    parts = {group: min(registry.names(group)) for group in wanted}
    counts = [count for _, count in spec.roles.values() if isinstance(count, int)]
    if counts and len(counts) == len(spec.roles):
        parts["nodes"] = str(sum(counts))
    return [f"{key}={value}" for key, value in parts.items() if key not in keys]


def _workload(registry: Registry, where: str, protocol: str, chosen: Sequence[str], config_dir: str | None) -> str:
    """The first workload that the protocol can serve."""
    refusal: ConfigError | None = None
    workloads = registry.registered.workloads
    fits = {name: _may_fit(registry, protocol, spec) for name, spec in workloads.items()}
    for name in sorted(workloads, key=lambda name: (not fits[name], name != "kv", name)):
        if refusal is not None and not fits[name]:
            break
        try:
            compose([*chosen, f"workload={name}", "engine=sim"], config_dir, registry=registry)
        except ConfigError as error:
            refusal = error
        else:
            return f"workload={name}"
    assert refusal is not None, "Synod brings workloads"
    if not refusal.where.startswith("workload="):
        raise refusal
    raise ConfigError(where, "no registered workload fits it", f"{refusal}")


def _may_fit(registry: Registry, protocol: str, workload: WorkloadSpec) -> bool:
    """Returns whether a protocol has all operations that a workload uses, as far as that shows without composing."""
    offered = registry.registered.protocols[protocol].operations
    try:
        functions = workload.workload(workload.config() if workload.config else None).functions()  # type: ignore[arg-type]
    except Exception:
        return True  # composing reports it
    asked = {each for each in functions if each not in workload.operations} | set(workload.requires)
    return not offered or asked <= set(offered)


def _crashes(duration: int) -> list[str]:
    """Crashes that go with a run of that length: with 1s from 200ms on, every 300ms for 100ms, the last 300ms quiet."""
    tenth = duration // 10
    times = {"faults.crash.at": 2, "faults.crash.every": 3, "faults.crash.for": 1, "quiet": 3}
    return ["faults=crash", *(f"{key}={format_duration(tenths * tenth)}" for key, tenths in times.items())]


def _crash_command(overrides: Sequence[str], config_dir: str | None, seed: int, at: int, node: str) -> str:
    """Returns the command that repeats the run in which `node` crashes at the time `at`, without other faults."""
    rest = [override for override in overrides if not sets(("faults", "quiet"), keys_set([override]).pop())]
    crash = ("faults=crash", f"faults.crash.at={at}ns", f"faults.crash.for={format_duration(DOWN)}")
    return replay_command(["engine=sim", *rest, *crash, f"faults.crash.target={node}", "quiet=0"], config_dir, seed)


def _needs_trace(settings: Settings, check: str, *levels: str) -> None:
    """ConfigError if the author's settings trace less than the check reads."""
    if not settings.sets("trace"):
        return
    level = settings.compose().experiment.trace
    if level not in levels:
        fix = f"Leave trace={level} out of the overrides."
        raise ConfigError(
            check, f"cannot be made with trace={level}: it reads what a run with trace={levels[-1]} leaves", fix
        )


def _run(composed: Composed, experiment: Experiment) -> RunResult:
    experiment.run_dir.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        experiment=experiment,
        config=composed.config,
        engine=composed.engine,
        checkers=composed.checkers,
        models=composed.models,
    )
    return execute(plan, engine_named(composed.engine), lambda time, tally: None)


def _require(is_so: bool, told: str) -> None:
    if not is_so:
        raise NotConforming(told)


def _told(what: str, result: RunResult, command: str) -> str:
    """Returns the failure of a check, its evidence, and the command that repeats it."""
    return "\n".join([what, *evidence(result), *(to_see_it_again(command) if command else ())])


def _steps(folder: Path, experiment: Experiment) -> Iterator[tuple[int, str]]:
    """Yields time and node of the first steps of a run, one for each node and instant, up to the end of the load: no
    fault is injected after it."""
    events = open_run(folder).events
    taken = {
        (time, node)
        for time, node, kind in zip(*(events[column].to_pylist() for column in ("time", "node", "kind")), strict=True)
        if kind in ("start", "deliver", "timer") and node.partition("/")[0] in experiment.nodes
        if time + 1 < experiment.duration
    }
    for time, node in sorted(taken)[:MAX_STEPS]:
        yield time, node.partition("/")[0]
