"""Checks of plugins at registration, so that authors learn of mistakes before anything runs."""

from __future__ import annotations

import inspect
import os
import re
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from framework.balancing.balancer import Balancer, BalancerConfig
from framework.checking.invariants import Invariant, names_nodes
from framework.checking.models.model import Model
from framework.core.client import Client
from framework.core.errors import ConfigError, PluginError, did_you_mean
from framework.core.message import Config, Event, Message, check_message
from framework.core.node import Node
from framework.core.node_class import check_durable_types, check_handler_types
from framework.faults.fault import Fault, FaultConfig, TargetConfig, TargetedFault
from framework.faults.plan import FaultPlan
from framework.load.workload import FinalPhaseConfig, Workload, WorkloadConfig
from framework.network.model import NetworkModel
from framework.placement.placement import Placement, PlacementConfig
from framework.registry.messages import named_messages, node_classes, package_of
from framework.registry.specs import (
    SERVICE,
    Assumption,
    BalancerSpec,
    CheckerSpec,
    FaultSpec,
    ModelSpec,
    NetworkSpec,
    PlacementSpec,
    ProtocolSpec,
    Sometimes,
    Spec,
    StateMachineSpec,
    WorkloadSpec,
    with_mounts,
)
from framework.replication.administration import Administer
from framework.replication.sessions import ReplicatedConfig, SessionClient
from framework.replication.state_machine import StateMachine

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MODEL_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_RESERVED = ("none", "auto", "null", "true", "false", "off", "on", "yes", "no")


def check_spec(spec: Spec, siblings: Sequence[Spec] = (), home: str | None = None) -> None:
    """Raises PluginError unless `spec` follows the rules of its kind.

    `siblings` are the other specs that the same plugin registers; `home` is the plugin's module.
    """
    check_name(spec)
    if isinstance(spec, ProtocolSpec):
        others = [other for other in siblings if isinstance(other, ProtocolSpec)]
        check_protocol(spec, others, home)
        return
    bases: dict[type[Spec], type[Config]] = {
        WorkloadSpec: WorkloadConfig,
        PlacementSpec: PlacementConfig,
        BalancerSpec: BalancerConfig,
    }
    check_config(spec, bases.get(type(spec), Config))
    for field, base in _PARTS.get(type(spec), ()):
        check_class(spec, field, base)
    if isinstance(spec, FaultSpec):
        _check_fault(spec)
    if isinstance(spec, WorkloadSpec):
        _check_workload(spec)
    if isinstance(spec, ModelSpec):
        _check_model(spec)
    if isinstance(spec, StateMachineSpec):
        _check_state_machine(spec)
    if isinstance(spec, CheckerSpec):
        _check_checker(spec)


def _check_checker(spec: CheckerSpec) -> None:
    """Raises PluginError unless the check is a function of a run and a config."""
    where = f"checker {spec.name!r}"
    _check_function(where, "check", spec.check, "a run and a config", "check(run: FinishedRun, config) -> CheckResult")
    if spec.validate is not None:
        wanted = "validate(models: Models, config) -> None"
        _check_function(where, "validate", spec.validate, "the models and a config", wanted)


def _check_function(where: str, name: str, function: Any, given: str, wanted: str) -> None:
    """Raises PluginError unless `function`, the field `name` of a spec, can be called as the function `wanted`.

    `given` describes the arguments of the call. Their number is that of the parameters of `wanted`.
    """
    if not callable(function):
        raise PluginError(where, f"{name} is not a function", f"Write {wanted}.")
    try:
        inspect.signature(function).bind(*[None] * (wanted.count(",") + 1))
    except TypeError as error:
        what = f"{name} does not take what it is given: {given}"
        raise PluginError(where, what, f"Write def {wanted}.") from error
    except ValueError:  # built in, without a signature
        return


def _check_state_machine(spec: StateMachineSpec) -> None:
    """Raises PluginError unless the machine can be copied from one replica to another."""
    machine = spec.machine
    for name in ("snapshot", "restore"):
        if getattr(machine, name) is getattr(StateMachine, name):
            raise PluginError(
                f"state machine {spec.name!r}", f"{machine.__qualname__} has no {name}()",
                "Write snapshot(self) -> bytes and restore(self, snapshot: bytes).",
            )  # fmt: skip
    _check_tuple(f"state machine {spec.name!r}", "checkers", spec.checkers)


def _check_workload(spec: WorkloadSpec) -> None:
    """Raises PluginError unless `next` and `final` have the right parameters, and a final phase has its settings."""
    where, cls = f"workload {spec.name!r}", spec.workload
    if cls.final is not Workload.final and not (spec.config and issubclass(spec.config, FinalPhaseConfig)):
        what = f"has a final phase, and config={_spelled(spec.config)} has no settings for it"
        raise PluginError(where, what, _derive(spec.config, "FinalPhaseConfig"))
    if spec.service is not None:
        check_part(where, "service", spec.service, Node)
    if spec.client is not None:
        check_part(where, "client", spec.client, Client)
    for field in ("operations", "requires"):
        _check_tuple(where, field, getattr(spec, field))
    if spec.validate is not None:
        given, wanted = "a config and a ProtocolSpec", "validate(config, protocol: ProtocolSpec) -> None"
        _check_function(where, "validate", spec.validate, given, wanted)
    guests = with_mounts(spec.guests)
    messages = {message for guest in guests for message in guest._handlers if not issubclass(message, Event)}
    check_node_classes(guests, sorted(messages, key=lambda message: message.__qualname__))


def _check_fault(spec: FaultSpec) -> None:
    """Raises PluginError unless the spec has either a fault with a FaultConfig, or a plan."""
    where = f"fault {spec.name!r}"
    if (spec.fault is None) == (spec.plan is None):
        what = "has neither a fault nor a plan" if spec.fault is None else "has both a fault and a plan"
        raise PluginError(where, what, "Give FaultSpec fault=MyFault, or plan=MyPlan.")
    if spec.plan is not None:
        check_class(spec, "plan", FaultPlan)
        return
    check_class(spec, "fault", Fault)
    if spec.config is None or not issubclass(spec.config, FaultConfig):
        what = f"config={_spelled(spec.config)} is not a FaultConfig, so it does not say when"
        raise PluginError(where, what, _derive(spec.config, "FaultConfig"))
    if issubclass(spec.fault or Fault, TargetedFault) and not issubclass(spec.config, TargetConfig):
        what = f"a TargetedFault needs a target, and config={spec.config.__qualname__} has none"
        raise PluginError(where, what, _derive(spec.config, "TargetConfig"))


def _check_model(spec: ModelSpec) -> None:
    """Raises PluginError unless the model can be instantiated, and has functions and a hashable initial state."""
    where, name = f"model {spec.name!r}", spec.model.__qualname__
    if not getattr(spec.model, "functions", ()):
        raise PluginError(where, f"{name} has no functions", 'Write functions = ("read", "write") in it.')
    if not hasattr(spec.model, "initial"):
        raise PluginError(where, f"{name} has no initial state", "Write initial = … in it.")
    strange = [name for name in spec.model.observes if name not in spec.model.functions]
    if strange:
        raise PluginError(
            where, f"observes names {strange[0]!r}, which is not a function of it", did_you_mean(strange[0], spec.model.functions)
        )  # fmt: skip
    try:
        hash(spec.made().initial)
    except TypeError:
        raise PluginError(where, f"{name}.initial can change", "Use a tuple, a frozenset or a frozen record.") from None


_PARTS: dict[type[Spec], tuple[tuple[str, type], ...]] = {
    StateMachineSpec: (("machine", StateMachine),),
    WorkloadSpec: (("workload", Workload),),
    NetworkSpec: (("model", NetworkModel),),
    PlacementSpec: (("placement", Placement),),
    BalancerSpec: (("balancer", Balancer),),
    ModelSpec: (("model", Model),),
}


def check_protocol(spec: ProtocolSpec, siblings: Sequence[ProtocolSpec] = (), home: str | None = None) -> None:
    """Raises PluginError unless the protocol's classes, messages and config follow the node model's rules.

    Every Message class of the protocol's package must be handled: by this protocol, by a class that it mounts, or by
    one of `siblings`, which share the package. `home` is that package's name; by default it follows from the node's
    module.
    """
    check_name(spec)
    _check_roles(spec)
    check_class(spec, "client", Client)
    check_config(spec, Config)
    _check_tuples(spec)
    _check_replication(spec)
    _check_invariants(spec)
    _check_sometimes(spec)
    _check_administration(spec)
    _check_assumptions(spec)
    if spec.settled is not None:
        where, wanted = f"protocol {spec.name!r}", "settled(nodes) -> str | None"
        _check_function(where, "settled", spec.settled, "the nodes by name", wanted)
    handled = set(named_messages(spec).values())
    check_node_classes(node_classes(spec), handled)
    for sibling in siblings:
        handled.update(named_messages(sibling).values())
    for message in package_messages(home or package_of(spec.node.__module__)):
        if message not in handled and not any(issubclass(other, message) for other in handled):
            raise PluginError(
                f"protocol {spec.name!r}",
                f"no handler for {message.__name__} ({message.__module__})",
                f"Write @handles({message.__name__}) in {spec.node.__name__} or {spec.client.__name__}, "
                "or delete the message.",
            )


def check_node_classes(classes: Iterable[type[Node]], messages: Iterable[type[Message]]) -> None:
    """Raises PluginError unless the messages, durable fields and handlers of these classes follow the node model."""
    for message in messages:
        check_message(message)
    node: Any  # mypy takes the hash of its instances for its own
    for node in classes:
        check_durable_types(node)
        check_handler_types(node)


def _check_roles(spec: ProtocolSpec) -> None:
    """Raises PluginError unless the spec has a node class, or roles with classes and counts."""
    where = f"protocol {spec.name!r}"
    if not isinstance(spec.roles, Mapping):
        raise PluginError(where, f"roles={spec.roles!r} is not a mapping", 'Write roles={"server": (Server, 3)}.')
    if not spec.roles:
        check_class(spec, "node", Node)
        return
    for name, role in spec.roles.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name == SERVICE:
            raise PluginError(where, f"{name!r} is not a valid name of a role", f"Write {_snake(f'my_{name}')!r}.")
        if not isinstance(role, tuple) or len(role) != 2:
            raise PluginError(
                where, f"roles: {name} is {role!r}", f'Write "{name}": (MyNode, 3), or None for the others.'
            )
        node, count = role
        check_part(where, f"roles: {name}", node, Node)
        is_count = count is None or callable(count) or (type(count) is int and count >= 1)
        if not is_count:
            raise PluginError(where, f"roles: {name} has the count {count!r}", "Give 1 or more, None, or a function.")
    if [count for _, count in spec.roles.values()].count(None) > 1:
        raise PluginError(where, "two roles have the count None", "Only one can have all other nodes.")


def _check_tuples(spec: ProtocolSpec) -> None:
    """Raises PluginError if one of its tuples is not one."""
    for field in ("operations", "checkers", "invariants", "sometimes", "administration", "assumes"):
        _check_tuple(f"protocol {spec.name!r}", field, getattr(spec, field))


def _check_assumptions(spec: ProtocolSpec) -> None:
    """Raises PluginError for an assumption that is not known."""
    known = typing.get_args(Assumption)
    for name in spec.assumes:
        if name not in known:
            what = f"there is no assumption {name!r}"
            raise PluginError(f"protocol {spec.name!r}", what, did_you_mean(name, known))


def _check_tuple(where: str, field: str, value: Any) -> None:
    """Raises PluginError for a single value where a tuple is expected: a text would be read letter by letter."""
    if isinstance(value, str) or not isinstance(value, tuple | list):
        shown = f'"{value}"' if isinstance(value, str) else getattr(value, "__qualname__", repr(value))
        raise PluginError(where, f"{field}={shown} is not a tuple", f"Write {field}=({shown},).")


def check_name(spec: Spec) -> None:
    """Raises PluginError unless the name can be typed as `group=name`: lower case, digits, underscores."""
    pattern = _MODEL_NAME if isinstance(spec, ModelSpec) else _NAME
    if not pattern.fullmatch(spec.name):
        raise PluginError(f"{_kind(spec)} {spec.name!r}", "is not a valid plugin name", f"Write {_snake(spec.name)!r}.")
    if spec.name in _RESERVED:
        what = f"{spec.name!r} has another meaning in YAML or on the command line"
        raise PluginError(f"{_kind(spec)} {spec.name!r}", what, f"Write 'my_{spec.name}'.")


def check_class(spec: Spec, field: str, base: type) -> None:
    """Raises PluginError unless the spec's `field` is a concrete subclass of `base` that other processes can import."""
    check_part(f"{_kind(spec)} {spec.name!r}", field, getattr(spec, field), base)


def check_part(where: str, field: str, value: Any, base: type) -> None:
    """Raises PluginError unless `value`, the `field` of a spec, is a concrete subclass of `base` that other processes
    can import."""
    if not (isinstance(value, type) and issubclass(value, base) and value is not base):
        shown = getattr(value, "__qualname__", repr(value))
        raise PluginError(where, f"{field}={shown} is not a {base.__name__}", f"Derive it from {base.__name__}.")
    if value.__module__ == "__main__":
        raise PluginError(
            where,
            f"the class {value.__qualname__} lives in __main__, where node actors cannot import it",
            "Move it into a module of its own and name that with plugins.path=FILE.",
        )
    missing = sorted(getattr(value, "__abstractmethods__", ()))
    if missing:
        raise PluginError(where, f"{value.__qualname__} has no {missing[0]}()", f"Write {missing[0]}().")
    part: Any = value
    check_signatures(part, base, where)
    if base in _ARGUMENTS:
        _check_constructor(part, base, where)


_ARGUMENTS: dict[type, int] = {
    Workload: 1, NetworkModel: 3, Fault: 1, FaultPlan: 4, StateMachine: 1, Placement: 1, Balancer: 1, Invariant: 0
}  # fmt: skip
"""Number of arguments with which the framework makes an instance of a plugin's class, by base class."""


def _check_constructor(cls: type, base: type, where: str) -> None:
    """Raises PluginError unless `cls` can be made with the first arguments of the constructor of `base`."""
    made_by: Any = base
    count, signature = _ARGUMENTS[base], inspect.signature(made_by.__init__)
    names = list(signature.parameters)[1 : count + 1]
    try:
        inspect.signature(cls).bind(*names)
    except TypeError as error:
        what = f"{cls.__qualname__}.__init__ does not take what it is given: {', '.join(names) or 'nothing'}"
        raise PluginError(where, what, f"Write def __init__({', '.join(['self', *names])}).") from error
    except ValueError:  # built in, without a signature
        return


@cache
def check_signatures(cls: type, base: type, where: str) -> None:
    """Raises PluginError for a method of `cls` that cannot be called like the method of `base` that it overrides."""
    for name, method in vars(base).items():
        plain = method.__func__ if isinstance(method, classmethod) else method
        own = inspect.getattr_static(cls, name)
        if name.startswith("_") or not inspect.isfunction(plain) or own is method:
            continue
        _, *parameters = inspect.signature(plain).parameters.values()
        by_name = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty]
        by_place = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
        first = "cls" if isinstance(method, classmethod) else "self"
        wanted = f"def {name}({', '.join([first, *by_place, *(['*', *by_name] if by_name else [])])})"
        shown = f"{cls.__qualname__}.{name}"
        if isinstance(method, classmethod) and not isinstance(own, classmethod):
            raise PluginError(where, f"{shown} is not a classmethod", f"Write @classmethod above {wanted}.")
        if not callable(getattr(cls, name)):
            raise PluginError(where, f"{shown} is not a method", f"Write {wanted}.")
        bound = 0 if isinstance(own, classmethod | staticmethod) else 1
        try:
            inspect.signature(getattr(cls, name)).bind(*[None] * (len(by_place) + bound), **dict.fromkeys(by_name))
        except TypeError as error:
            taken = ", ".join([*by_place, *by_name]) or "nothing"
            raise PluginError(where, f"{shown} does not take what it is given: {taken}", f"Write {wanted}.") from error
        except ValueError:  # built in, without a signature
            continue


def check_config(spec: Spec, base: type[Config]) -> None:
    """Raises PluginError unless the config derives from `base`, can be built from defaults, and its types resolve."""
    config = spec.config
    if config is None:
        return
    where = f"{_kind(spec)} {spec.name!r}"
    if not (isinstance(config, type) and issubclass(config, base)):
        shown = getattr(config, "__qualname__", repr(config))
        raise PluginError(where, f"config={shown} is not a {base.__name__}", f"Write class {shown}({base.__name__}).")
    if "name" in config.__struct_fields__:
        raise PluginError(
            where,
            f"{config.__qualname__}.name: the key `name` is the name of the plugin",
            "Rename the field.",
        )
    try:
        typing.get_type_hints(config)
        config()
    except (NameError, TypeError, ValueError, ConfigError) as error:
        raise PluginError(
            where,
            f"the defaults of {config.__qualname__} do not build: {error}",
            "Give every field a default, and import its type in the module of the config.",
        ) from error


def _check_replication(spec: ProtocolSpec) -> None:
    replicates = spec.config is not None and issubclass(spec.config, ReplicatedConfig)
    where = f"protocol {spec.name!r}"
    if issubclass(spec.client, SessionClient) and not replicates:
        shown = spec.config.__name__ if spec.config else "MyConfig"
        raise PluginError(
            where,
            "its clients are session clients, but its config chooses no state machine",
            f"Write class {shown}(ReplicatedConfig), and config={shown} in the ProtocolSpec.",
        )


def _check_sometimes(spec: ProtocolSpec) -> None:
    where = f"protocol {spec.name!r}"
    for wanted in spec.sometimes:
        if not isinstance(wanted, Sometimes):
            raise PluginError(
                where, f"sometimes: {wanted!r} is no Sometimes", 'Write Sometimes("it happened", "noted").'
            )
    names = [wanted.name for wanted in spec.sometimes]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise PluginError(where, f"sometimes: {repeated[0]!r} is listed twice", "Give each a name of its own.")


def _check_administration(spec: ProtocolSpec) -> None:
    where = f"protocol {spec.name!r}"
    if spec.administration and Administer not in spec.node._handlers:
        raise PluginError(
            where, "names administrative operations, which its node does not handle",
            "Write @handles(Administer), and answer with Administered or NotLeader.",
        )  # fmt: skip
    if spec.administration and not (spec.config is not None and issubclass(spec.config, ReplicatedConfig)):
        raise PluginError(
            where, "names administrative operations, but its config has no settings for retries",
            "Derive the config from ReplicatedConfig.",
        )  # fmt: skip


def _check_invariants(spec: ProtocolSpec) -> None:
    where = f"protocol {spec.name!r}"
    for invariant in spec.invariants:
        if isinstance(invariant, Invariant):
            name = type(invariant).__qualname__
            raise PluginError(where, f"invariants: {name} is an instance", f"Give the class: invariants=({name},).")
        shown = getattr(invariant, "__qualname__", repr(invariant))
        if not (isinstance(invariant, type) and issubclass(invariant, Invariant)):
            raise PluginError(
                where, f"invariants: {shown} is not an Invariant", f"Write class {shown}(Invariant[MyNode])."
            )
        if invariant.__abstractmethods__:
            raise PluginError(where, f"{shown} has no observe()", "Write observe(self, step, node).")
        check_signatures(invariant, Invariant, where)
        _check_constructor(invariant, Invariant, where)
        if not names_nodes(invariant):
            observed = spec.node.__name__
            raise PluginError(
                where,
                f"{shown} does not name the nodes that it observes",
                f"Write class {shown}(Invariant[{observed}]), or Invariant[Node] for all nodes and clients.",
            )
        if not any(issubclass(node, invariant.watches) for node in node_classes(spec)):
            raise PluginError(
                where,
                f"{shown} watches {invariant.watches.__qualname__}, which is none of its nodes",
                f"Write class {shown}(Invariant[{spec.node.__name__}]).",
            )


def package_messages(home: str) -> Iterator[type[Message]]:
    """Yields the Message classes defined in the modules of the package `home`, except events, in a fixed order."""
    for name in sorted(sys.modules):
        if name == home or name.startswith(home + "."):
            for value in list(vars(sys.modules[name]).values()):
                is_message = isinstance(value, type) and issubclass(value, Message) and not issubclass(value, Event)
                if is_message and value.__module__ == name:
                    yield value


def check_functions(module: Any, plugin: str, hooks: Sequence[str], marked: Callable[[Any], bool]) -> None:
    """Raises PluginError for a hook that would never be called: misspelt, or without its @hookimpl."""
    for name, function in list(vars(module).items()):
        if not callable(function) or isinstance(function, type):
            continue
        own = getattr(function, "__module__", None) == getattr(module, "__name__", None)
        if not own and not (name in hooks and getattr(function, "__name__", None) == name):
            continue
        if marked(function) and name not in hooks:
            raise PluginError(plugin, f"there is no hook {name!r}", did_you_mean(name, hooks))
        if not marked(function) and name in hooks and name.startswith("register_"):
            raise PluginError(plugin, f"{name} is not marked as a hook", f"Write @hookimpl above def {name}.")
        if not marked(function) and name.startswith("register_"):
            raise PluginError(
                plugin,
                f"there is no hook {name!r}",
                f"{did_you_mean(name, hooks)} If it is not a hook, rename it.",
            )


def checked_folders(plugin: str, hook: str, answer: Any) -> list[Path]:
    """Returns the folders in `answer`, the result of the plugin's `hook`, resolved.

    Raises PluginError unless each is an absolute path to a folder with at least one GROUP/NAME.yaml.
    """
    where = f"plugin {plugin}"
    if not isinstance(answer, list | tuple):
        fix = 'Return a list: [Path(__file__).parent / "conf"].'
        raise PluginError(where, f"{hook} returns {type(answer).__name__}", fix)
    return [_checked_folder(where, hook, given) for given in answer]


def _checked_folder(where: str, hook: str, given: Any) -> Path:
    named = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(named, str):
        raise PluginError(where, f"{hook} returns {type(given).__name__}, which is not a path", "Give str or Path.")
    if not os.path.isabs(named):
        what = f"{hook} returns {named!r}, which depends on where a command is run"
        raise PluginError(where, what, f"Write Path(__file__).parent / {named!r}.")
    folder = Path(named).resolve()
    if not folder.is_dir():
        fix = "Of a package, package-data in its pyproject.toml says which files are installed."
        raise PluginError(where, f"{hook}: there is no folder {folder}", fix)
    if next(folder.glob("*/**/*.yaml"), None) is None:
        raise PluginError(where, f"{hook}: {folder} holds no GROUP/NAME.yaml", "Write experiment/NAME.yaml in it.")
    return folder


def _spelled(config: type[Config] | None) -> str:
    return "None" if config is None else config.__qualname__


def _derive(config: type[Config] | None, base: str) -> str:
    """The remedy for a config of the wrong kind: a class of the author's own is derived, any other replaced."""
    own = config is not None and not config.__module__.startswith("framework.")
    name = config.__qualname__ if own and config is not None else "MyConfig"
    return f"Write class {name}({base})" + ("." if own else f", and config={name} in the spec.")


def _kind(spec: Spec) -> str:
    spelt = re.sub(r"(?<!^)(?=[A-Z])", " ", type(spec).__name__.removesuffix("Spec"))
    return spelt.lower()


def _snake(name: str) -> str:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", apart.lower()).strip("_0123456789") or "my_plugin"
