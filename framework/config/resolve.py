"""Builds an `Experiment` from merged plain data, and checks the plugins' settings against one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from framework.checking.models.catalog import Models
from framework.config.groups import GROUPS, LISTS, OTHER_KEYS, REPORTS, TOP_KEYS, label
from framework.config.plain_mappings import PARTS, BadValue, build, is_part, is_path, plain, spelled, texts
from framework.config.schema import ENGINES, RunConfig, SchedulingConfig, TraceConfig
from framework.core.errors import ConfigError, PluginFailed, did_you_mean
from framework.core.message import Config, NodeId
from framework.core.part_failures import failed_part
from framework.core.plugin_choice import PluginChoice, ProtocolChoice, choices_in, settings_key
from framework.core.random_streams import stream
from framework.core.time import format_duration
from framework.core.tracebacks import blaming, check_initialized, plugin_gave, printable
from framework.engine.base import Experiment
from framework.faults.plan import FaultKinds, FaultPlan
from framework.faults.targets import CLIENT
from framework.registry.registry import KINDS, Registry
from framework.registry.specs import (
    SERVICE,
    CheckerSpec,
    PluginSpec,
    ProtocolSpec,
    Spec,
    StateMachineSpec,
    WorkloadSpec,
)

_DEEPEST = 4
"""Levels of plugins that choose one another."""


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A composed run: the experiment and everything around it.

    `config` is the content of config.yaml: every key with its value. `checkers` judge the history against one of the
    sequential `models`. `overrides` are those of the command line, as typed.
    """

    title: str
    """The name of the run on screens: the experiment, and the protocol if it is not the experiment's own."""
    experiment: Experiment
    config: dict[str, Any]
    engine: str
    models: Models
    checkers: tuple[tuple[CheckerSpec, Any], ...]
    registry: Registry
    overrides: tuple[str, ...]
    run_dir_chosen: bool
    """Whether the user chose the run's folder; otherwise its name is a proposal."""


def resolve(
    merged: Mapping[str, Any], choices: Mapping[str, Any], registry: Registry, overrides: tuple[str, ...]
) -> Composed:
    """Resolves a merged config. Raises BadValue for an invalid setting, ConfigError for parts that conflict."""
    parts = _Parts(merged, choices, registry)
    parts.check_keys()
    parts.check_names()
    run = build(RunConfig, {key: merged[key] for key in TOP_KEYS if key in merged}, "")
    _check_span(run)
    name = str(choices.get("experiment") or parts.chosen("protocol"))
    protocol, protocol_config = parts.protocol()
    given, protocol_config = _with_parts(parts, protocol, protocol_config)
    machine: StateMachineSpec | None = given["state_machine"][0] if "state_machine" in given else None
    workload, workload_config = parts.plugin("workload")
    _check_operations(parts, protocol, machine, workload, workload_config)
    if workload.validate is not None:
        _validate_workload(workload, workload_config, protocol)
    network, network_config = parts.plugin("network")
    engine = parts.chosen("engine")
    if engine not in ENGINES:
        raise BadValue("engine.name", f"there is no engine {engine!r}", did_you_mean(engine, ENGINES))
    models = Models(registry.models, protocol.model or (None if machine is None else machine.model))
    faults = dict(parts.several("faults", parts.chosen_names("faults")))
    checkers = dict(parts.several("checker", _checker_names(parts, protocol, machine)))
    nodes = tuple(f"n{number}" for number in range(1, run.nodes + run.spares + 1))
    roles = _assigned_roles(protocol, protocol_config, nodes[: run.nodes], nodes[run.nodes :])
    if workload.service is not None:
        roles[SERVICE] = ("s1",)
    protocol = replace(protocol, guests=workload.guests) if workload.guests else protocol
    experiment = Experiment(
        name=name,
        seed=run.seed,
        nodes=nodes,
        spares=nodes[run.nodes :],
        roles=roles,
        clients=tuple(f"c{number}" for number in range(1, run.clients + 1)),
        duration=int(run.duration),
        warmup=int(run.warmup),
        protocol=protocol,
        protocol_config=protocol_config,
        workload=workload,
        workload_config=workload_config,
        network=network,
        network_config=network_config,
        faults=tuple((key, spec, config) for key, (spec, config) in faults.items()),
        fault_kinds=FaultKinds(registry.registered.faults, _build_fault_config),
        quiet=int(run.quiet) if faults else 0,
        settle=int(run.settle) if protocol.settles else 0,
        engine_config=build(ENGINES[engine][0], parts.settings("engine"), "engine"),
        scheduling_config=build(SchedulingConfig, parts.settings("scheduling"), "scheduling"),
        trace=build(TraceConfig, parts.settings("trace"), "trace").level,
        run_dir=_run_dir(merged, name, run.seed),
        plugin_paths=registry.import_paths,
    )
    _try_out(experiment)
    _try_checkers(checkers, models)
    config = _as_written(parts, experiment, run, engine, given, faults, checkers)
    return Composed(
        title=name,
        experiment=experiment,
        config=config,
        engine=engine,
        models=models,
        checkers=tuple(checkers.values()),
        registry=registry,
        overrides=overrides,
        run_dir_chosen=(merged.get("run") or {}).get("dir") is not None,
    )


def _assigned_roles(
    protocol: ProtocolSpec, config: Any, nodes: Sequence[NodeId], spares: Sequence[NodeId]
) -> dict[str, tuple[NodeId, ...]]:
    """Returns the nodes of each role, in the order of the spec; spares have the role that takes all other nodes. Raises
    BadValue if the run has too few nodes for the roles, or too many."""
    counts: dict[str, int | None] = {}
    for role, (_, count) in protocol.roles.items():
        if callable(count):
            where = f"protocol={protocol.name}"
            with blaming(where, f"the count of role {role}", count, ConfigError):
                found = count(config)
            if type(found) is not int or found < 0:
                raise plugin_gave(where, f"the count of role {role}", found, "a number of nodes", count)
            counts[role] = found
        else:
            counts[role] = count
    if not counts:
        return {}
    fixed = sum(count for count in counts.values() if count is not None)
    rest = len(nodes) - fixed
    takes_rest = None in counts.values()
    if rest < takes_rest or (rest and not takes_rest) or (spares and not takes_rest):
        listed = ", ".join(
            f"{'the other nodes' if count is None else count} as {role}" for role, count in counts.items()
        )
        least = fixed + takes_rest
        what = f"protocol {protocol.name} needs {'at least ' if takes_rest else ''}{least}: {listed}"
        raise BadValue("nodes", what, f"Write nodes={least}{'' if takes_rest else ' and spares=0'}.")
    assigned: dict[str, tuple[NodeId, ...]] = {}
    at = 0
    for role, count in counts.items():
        end = at + (rest if count is None else count)
        assigned[role] = (*nodes[at:end], *(spares if count is None else ()))
        at = end
    return assigned


def _check_span(run: RunConfig) -> None:
    """Raises BadValue unless the duration is positive and longer than the warmup."""
    if run.duration <= 0:
        raise BadValue("duration", "must be more than 0", "Write duration=10s.")
    if run.warmup >= run.duration:
        raise BadValue(
            "warmup",
            f"a warmup of {run.warmup} leaves nothing to measure in a duration of {run.duration}",
            "Make it shorter than the duration.",
        )


class _Parts:
    """The merged config, group by group."""

    def __init__(self, merged: Mapping[str, Any], choices: Mapping[str, Any], registry: Registry) -> None:
        self.merged, self.choices, self.registry = merged, choices, registry

    def check_keys(self) -> None:
        """Raises BadValue for invalid text, an unknown key at the top level, and a group that is not a mapping."""
        for full, text in texts(self.merged):
            if full.split(".")[:2] in (key.split(".") for key in OTHER_KEYS):
                if not is_path(text):
                    raise BadValue(full, f"{text!r} is not a valid path", "Choose another.")
            elif printable(text) != text:
                raise BadValue(printable(full), f"{text!r} is not valid Unicode", "Write it in UTF-8.")
        outer = {key.partition(".")[0] for key in OTHER_KEYS}
        known = {*TOP_KEYS, *GROUPS, *outer} - {"experiment"}
        for key, value in self.merged.items():
            if key not in known:
                raise BadValue(key, "there is no such key", did_you_mean(key, known))
            if (key in GROUPS or key in outer) and value is not None and not isinstance(value, Mapping):
                keys = [full for full in OTHER_KEYS if full.startswith(f"{key}.")]
                fix = f"Choose with {key}=NAME." if key in GROUPS else f"Write {keys[0]}=…."
                raise BadValue(key, f"expected keys and values, got {spelled(value)}", fix)
            for inner in value if key in outer and isinstance(value, Mapping) else ():
                full = f"{key}.{inner}"
                if full not in OTHER_KEYS:
                    raise BadValue(full, "there is no such key", did_you_mean(full, OTHER_KEYS))

    def of(self, group: str) -> dict[str, Any]:
        """Returns the config of a group."""
        return dict(self.merged.get(group) or {})

    def chosen(self, group: str) -> str:
        """Returns the name of a group's plugin: the setting `name`, else the chosen option."""
        return str(self.of(group).get("name") or self.choices.get(group))

    def chosen_names(self, group: str) -> tuple[str, ...]:
        """Returns the single option chosen from a group that takes several; if several are, the config names them."""
        chosen = self.choices.get(group)
        return () if chosen in (None, "none", "auto") else (str(chosen),)

    def check_names(self) -> None:
        """Raises BadValue if the settings of a group name another plugin than the chosen one."""
        for group in GROUPS:
            name, chosen = self.of(group).get("name") if group not in LISTS else None, self.choices.get(group)
            offered = {**ENGINES} if group == "engine" else self.registry.names(group) if group in KINDS else {}
            if name is None or name == chosen:
                continue
            if not isinstance(name, str) or name not in offered:
                what = (
                    f"there is no {label(group)} {name!r}"
                    if isinstance(name, str)
                    else f"expected a name, got {name!r}"
                )
                raise BadValue(f"{group}.name", what, did_you_mean(str(name), offered))
            if chosen in offered:
                raise BadValue(f"{group}.name", f"{group} is {chosen}", f"Choose with {group}={name}.")

    def settings(self, group: str) -> dict[str, Any]:
        """Returns a group's settings without `name`."""
        return {key: value for key, value in self.of(group).items() if key != "name"}

    def plugin(self, group: str) -> tuple[Any, Any]:
        """Returns the spec of the plugin chosen from a group, and its config (None if it has none)."""
        spec = self.registry.get(group, self.chosen(group))
        return spec, self.configured(spec, self.settings(group), group, group)[0]

    def part(self, group: str) -> tuple[Any, Any] | None:
        """Returns what `plugin` does, for a group from which nothing may be chosen: then None."""
        if not self.of(group) and self.choices.get(group) in (None, "none"):
            return None
        return self.plugin(group)

    def protocol(self) -> tuple[ProtocolSpec, Any]:
        """Returns the spec of the chosen protocol, with the protocols that its config chooses, and its config."""
        spec = self.registry.get("protocol", self.chosen("protocol"))
        config, specs = self.configured(spec, self.settings("protocol"), "protocol", "protocol")
        chosen = tuple(each for each in specs if isinstance(each, ProtocolSpec))
        if not chosen:
            return spec, config
        invariants = dict.fromkeys(each for one in (spec, *chosen) for each in one.invariants)
        sometimes = dict.fromkeys(each for one in (spec, *chosen) for each in one.sometimes)
        return replace(spec, chosen=chosen, invariants=tuple(invariants), sometimes=tuple(sometimes)), config

    def configured(
        self, spec: Spec, settings: Mapping[str, Any], key: str, group: str
    ) -> tuple[Any, tuple[PluginSpec, ...]]:
        """Returns the config of a plugin of a group, and the specs of the plugins that it chooses, directly or not."""
        if key.count(".") > _DEEPEST:
            what = f"{label(group)}s choose one another without end"
            raise BadValue(key, what, "Choose one that mounts no other." if group == "protocol" else "Choose another.")
        with blaming(f"{group}={spec.name}", "its config", spec.config or Config, BadValue, ConfigError):
            choices = choices_in(None if spec.config is None else spec.config(), PluginChoice)
        own, made = dict(settings), {}
        chosen: dict[tuple[str, str], PluginSpec] = {}
        for field, choice in choices.items():
            name, inner = own.pop(field, choice.name), own.pop(settings_key(field), None) or {}
            where = f"{key}.{settings_key(field)}"
            if not isinstance(name, str):
                raise BadValue(f"{key}.{field}", f"expected the name of a {label(choice.group)}, got {spelled(name)}")
            if not isinstance(inner, Mapping):
                raise BadValue(where, f"expected keys and values, got {spelled(inner)}", f"Write {where}.KEY=VALUE.")
            try:
                found: PluginSpec = self.registry.get(choice.group, name)
            except ConfigError as error:
                raise BadValue(f"{key}.{field}", error.what, error.fix) from error
            config, further = self.configured(found, inner, where, choice.group)
            made[field] = found.choice(config)
            chosen |= {(type(each).__name__, each.name): each for each in (found, *further)}
        config = _configured(spec, own, key)
        try:
            config = msgspec.structs.replace(config, **made) if made else config
        except ValueError as error:  # its __post_init__ refuses what is chosen
            raise BadValue(key, str(error)) from error
        return config, tuple(chosen.values())

    def several(self, group: str, names: tuple[str, ...]) -> Iterator[tuple[str, tuple[Any, Any]]]:
        """Yields (key, (spec, config)) of each option that is chosen, or is in the config under its own key."""
        entries = self.of(group)
        for key, value in entries.items():
            if not isinstance(value, Mapping):
                raise BadValue(
                    f"{group}.{key}", f"expected keys and values, got {spelled(value)}", f"Choose with {group}=NAME."
                )
            if key not in names and "name" not in value:
                options = self.registry.names(group)
                kind = f"Say what it is: {group}.{key}.name=NAME."
                fix = f"Add {group}={key}." if key in options else f"{kind} {did_you_mean(str(key), options)}"
                raise BadValue(f"{group}.{key}", f"{key} is not chosen", fix)
        plugins = [name for name in names if name in self.registry.names(group)]
        for key in dict.fromkeys([*plugins, *entries]):
            settings = dict(entries.get(key) or {})
            name = settings.pop("name", key)
            if not isinstance(name, str):
                raise BadValue(f"{group}.{key}.name", f"expected a name, got {name!r}")
            try:
                spec = self.registry.get(group, name)
            except ConfigError as error:
                raise BadValue(f"{group}.{key}.name", error.what, error.fix) from error
            yield key, (spec, _configured(spec, settings, f"{group}.{key}"))


def _configured(spec: Spec, settings: Mapping[str, Any], key: str) -> Any:
    if spec.config is not None:
        with blaming(f"{key.partition('.')[0]}={spec.name}", "its config", spec.config, BadValue, ConfigError):
            return build(spec.config, settings, key)
    if settings:
        raise BadValue(f"{key}.{next(iter(settings))}", f"{spec.name} has no settings", "Leave it out.")
    return None


def _with_parts(parts: _Parts, protocol: ProtocolSpec, config: Any) -> tuple[dict[str, tuple[Any, Any]], Any]:
    """Returns the spec and config of each part that the run has (see `PARTS`), by group, and the protocol's config that
    includes them. A protocol that another one chooses may be left without one: then its parent gives it one."""
    found: dict[str, tuple[Any, Any]] = {}
    for group in PARTS:
        if not _takes(config, group):
            continue
        part = parts.part(group)
        if part is not None:
            spec, part_config = found[group] = part
            config = _with_part(config, group, spec.choice(part_config))
        elif is_part(type(config), group):
            needs = "replicates a state machine" if group == "state_machine" else f"needs a {label(group)}"
            fix = did_you_mean("", parts.registry.names(group))
            raise ConfigError(f"protocol={protocol.name}", f"{needs}, and none is chosen", fix)
    return found, config


def _takes(config: Any, group: str) -> bool:
    """Returns whether a protocol with this config is given a part, or chooses one that is."""
    choices = choices_in(config, ProtocolChoice).values()
    return config is not None and (is_part(type(config), group) or any(_takes(each.config, group) for each in choices))


def _with_part(config: Any, group: str, choice: Any) -> Any:
    """Returns `config` with the part given to every chosen protocol that takes one."""
    given = {
        field: msgspec.structs.replace(chosen, config=_with_part(chosen.config, group, choice))
        for field, chosen in choices_in(config, ProtocolChoice).items()
        if _takes(chosen.config, group)
    }
    if is_part(type(config), group):
        given[group] = choice
    return msgspec.structs.replace(config, **given) if given else config


def _check_operations(
    parts: _Parts,
    protocol: ProtocolSpec,
    machine: StateMachineSpec | None,
    workload: WorkloadSpec,
    config: Any,
) -> None:
    """Raises ConfigError if the workload uses an operation that the protocol or its state machine does not have."""
    offered = protocol.offered(None if machine is None else machine.machine)
    asked = [each for each in _functions(workload, config, "workload") if each not in workload.operations]
    asked += workload.requires
    lacking = [function for function in asked if function not in offered]
    if not offered or not lacking:
        return
    server = (
        f"state machine {machine.name!r}"
        if machine is not None and not protocol.operations
        else f"protocol {protocol.name!r}"
    )
    fitting = [
        name
        for name, other in sorted(parts.registry.registered.workloads.items())
        if {*_functions(other, other.config() if other.config else None, name), *other.requires} - {*other.operations}
        <= set(offered)
    ]
    machines = [
        f"state_machine={name}"
        for name, other in sorted(parts.registry.registered.state_machines.items())
        if machine is not None and not protocol.operations and set(asked) <= set(other.machine.operations)
    ]
    choices = [*machines, *(f"workload={name}" for name in fitting)]
    choose = f"Choose {' or '.join(choices)}." if choices else "Choose another workload."
    raise ConfigError(
        f"workload={workload.name}",
        f"needs the operation {lacking[0]!r}, which the {server} does not have; it has: {', '.join(offered)}",
        choose if workload.name not in fitting else f"Leave {lacking[0]} out of the workload's mix.",
    )


def _functions(workload: WorkloadSpec, config: Any, key: str) -> tuple[str, ...]:
    try:
        with blaming(f"workload={workload.name}", "functions", workload.workload, ValueError, ConfigError):
            made = workload.workload(config)
            check_initialized(made, "config", f"workload={workload.name}")
            functions = made.functions()
            if isinstance(functions, str) or not all(isinstance(one, str) for one in functions):
                owner = workload.workload.functions
                raise plugin_gave(f"workload={workload.name}", "functions", functions, "a tuple of texts", owner)
            return functions
    except ValueError as error:
        raise BadValue(key, str(error)) from error


def _validate_workload(workload: WorkloadSpec, config: Any, protocol: ProtocolSpec) -> None:
    """Raises BadValue if the workload's own check refuses the protocol."""
    assert workload.validate is not None
    try:
        with blaming(f"workload={workload.name}", "validate", workload.validate, ValueError, ConfigError):
            _check_silent(
                workload.validate(config, protocol), f"workload={workload.name}", "validate", workload.validate
            )
    except ValueError as error:
        raise BadValue("workload", str(error)) from error


def _check_silent(answer: object, where: str, call: str, owner: Any) -> None:
    """Raises PluginFailed for a check of a plugin that returns something, False for example, instead of raising."""
    if answer is not None:
        raise plugin_gave(where, call, answer, "None, or a raised ValueError or ConfigError", owner)


def _checker_names(parts: _Parts, protocol: ProtocolSpec, machine: StateMachineSpec | None) -> tuple[str, ...]:
    if parts.choices.get("checker") != "auto":
        return parts.chosen_names("checker")
    names = protocol.checkers if machine is None or not machine.checkers else machine.checkers
    for name in names:
        parts.registry.get("checker", name)
    return names


def _try_out(experiment: Experiment) -> None:
    """Builds the network and the fault plans once, so that a plugin's objections are raised before anything starts."""
    protocol, network = experiment.protocol, experiment.network
    try:
        with blaming(f"network={network.name}", "__init__", network.model, ValueError, ConfigError):
            experiment.make_network()
    except ValueError as error:
        raise BadValue("network", str(error)) from error
    except ConfigError as error:
        raise _placed(error, "network") from error
    try:
        for key, name, config in (
            ("protocol", protocol.name, experiment.protocol_config),
            ("workload", experiment.workload.name, experiment.workload_config),
        ):
            if isinstance(config, Config):
                try:
                    with blaming(f"{key}={name}", "validate_nodes", type(config), ConfigError):
                        answer = config.validate_nodes(key, experiment.members)  # type: ignore[func-returns-value]
                        _check_silent(answer, f"{key}={name}", "validate_nodes", type(config))
                except PluginFailed as error:
                    raise failed_part(error.__cause__ or error, config) or error from error
    except ConfigError as error:
        raise BadValue(error.where, error.what, error.fix) from error
    for key, spec, config in experiment.faults:
        with blaming(f"faults={spec.name}", "its set-up", spec.implementation, BadValue, ConfigError):
            plan = spec.make_plan(config, experiment.fault_kinds, experiment.members, experiment.spares)
            _try_out_faults(experiment, key, plan)
    if experiment.spares and "add_node" not in experiment.protocol.administration:
        raise BadValue(
            f"spares={len(experiment.spares)}",
            f"spares would never run: protocol {experiment.protocol.name} cannot add nodes",
            "Leave spares out, or choose another protocol.",
        )


def _build_fault_config(config: type[Config], options: Mapping[str, Any], key: str) -> Any:
    """Does what `build` does for fault plans, but raises ConfigError instead of BadValue."""
    try:
        return build(config, options, key)
    except BadValue as error:
        raise ConfigError(error.shown, error.what, error.fix) from error


def _try_out_faults(experiment: Experiment, key: str, plan: FaultPlan) -> None:
    try:
        _check_admin_operations(experiment, f"faults.{key}", plan)
        plan.validate_nodes(f"faults.{key}")
    except ValueError as error:
        raise BadValue(f"faults.{key}", str(error)) from error
    except ConfigError as error:
        raise _placed(error, f"faults.{key}") from error
    if experiment.quiet >= experiment.duration:
        fix = "Make quiet shorter, or the duration longer."
        what = f"{format_duration(experiment.quiet)} leaves no time for faults in a duration of {format_duration(experiment.duration)}"
        raise BadValue("quiet", what, fix)
    span = experiment.duration - experiment.quiet
    try:
        plan.validate_span(f"faults.{key}", span)
        for planned in islice(plan.planned_faults(key, span, stream(experiment.seed, "fault", key)), 1_000):
            _check_client(planned.fault.target, f"faults.{key}", experiment.clients)
    except ValueError as error:
        raise BadValue(f"faults.{key}", str(error)) from error
    except ConfigError as error:
        raise _placed(error, f"faults.{key}") from error


def _check_client(target: str, where: str, clients: Sequence[NodeId]) -> None:
    """Raises ConfigError if a fault's target is a client that the run does not have."""
    word, _, name = target.partition(":")
    if word == CLIENT and name not in (*clients, "random"):
        raise ConfigError(f"{where}.target={target}", "there is no such client", did_you_mean(name, clients))


def _placed(error: ConfigError, within: str) -> BadValue:
    """Returns a plugin's error about its settings as a BadValue, with the key that it names, else the key `within`."""
    key = error.where.partition("=")[0]
    if key != within and not key.startswith(f"{within}."):
        return BadValue(within, error.what, error.fix)
    return BadValue(key, error.what, error.fix, shown=error.where if key != within else "")


def _check_admin_operations(experiment: Experiment, key: str, plan: FaultPlan) -> None:
    """BadValue if a planned fault requires an administrative operation that the protocol does not have."""
    protocol = experiment.protocol
    for function in plan.required_admin_operations(key):
        if function not in protocol.administration:
            has = ", ".join(protocol.administration) or "none"
            raise BadValue(
                key, f"needs {function}, which protocol {protocol.name} does not support; it supports: {has}",
                "Choose another fault, or another protocol.",
            )  # fmt: skip


def _try_checkers(checkers: Mapping[str, tuple[CheckerSpec, Any]], models: Models) -> None:
    """Raises ConfigError, before the run, if a checker could not judge its history."""
    for spec, config in checkers.values():
        if spec.validate is not None:
            with blaming(f"checker={spec.name}", "validate", spec.validate, ConfigError):
                _check_silent(spec.validate(models, config), f"checker={spec.name}", "validate", spec.validate)


def _run_dir(merged: Mapping[str, Any], name: str, seed: int) -> Path:
    chosen = (merged.get("run") or {}).get("dir")
    if chosen is None:
        now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        return Path("runs") / f"{name.replace('/', '-')}-{now}-{seed}"
    if isinstance(chosen, bool | list | dict) or not str(chosen).strip():
        raise BadValue("run.dir", f"{chosen!r} is not a folder name", "Write run.dir=runs/mine.")
    return Path(str(chosen)).expanduser()


def _report(merged: Mapping[str, Any]) -> str:
    when = (merged.get("run") or {}).get("report", REPORTS[0])
    if when not in REPORTS:
        raise BadValue("run.report", f"unknown value {spelled(when)}", did_you_mean(str(when), REPORTS))
    return str(when)


def _as_written(
    parts: _Parts,
    experiment: Experiment,
    run: Config,
    engine: str,
    given: Mapping[str, tuple[Any, Any]],
    faults: Mapping[str, tuple[Any, Any]],
    checkers: Mapping[str, tuple[Any, Any]],
) -> dict[str, Any]:
    """Returns the whole config as plain data, defaults included."""
    return {
        "experiment": parts.choices.get("experiment"),
        **plain(run),
        "run": {"dir": str(experiment.run_dir), "report": _report(parts.merged)},
        "plugins": {"path": (parts.merged.get("plugins") or {}).get("path") or []},
        "protocol": _shown(experiment.protocol, experiment.protocol_config),
        **{group: _shown(*given[group]) if group in given else None for group in PARTS},
        "workload": _shown(experiment.workload, experiment.workload_config),
        "network": _shown(experiment.network, experiment.network_config),
        "faults": {key: _shown(spec, config) for key, (spec, config) in faults.items()},
        "engine": {"name": engine, **plain(experiment.engine_config)},
        "scheduling": plain(experiment.scheduling_config),
        "trace": {"level": experiment.trace},
        "checker": {key: _shown(spec, config) for key, (spec, config) in checkers.items()},
    }


def _shown(spec: Spec, config: Any) -> dict[str, Any]:
    settings = {} if config is None else plain(config)
    return {"name": spec.name, **settings}
