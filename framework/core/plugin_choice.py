"""The choice of a plugin within another one's config: of a protocol, so that its nodes can be mounted, or of a
placement."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from framework.core.message import Config, Record


class PluginChoice(Record):
    """Base of the choices of plugins in configs: a plugin's name and its config. `group` is the config group of such
    plugins."""

    group: ClassVar[str] = ""

    name: str
    config: Any = None


C = TypeVar("C", bound=PluginChoice)


class ProtocolChoice(PluginChoice):
    """A protocol that another one mounts, chosen by config; given a default by name.

        class RouterConfig(Config):
            group: ProtocolChoice = ProtocolChoice("raft")

    `protocol.group=multipaxos` chooses another one, `protocol.group_config.max_batch=10` sets its settings. In a run,
    `node` and `client` are its classes, and `config` is its config:

        group = self.config.group
        self.mount("shard-7", group.node, group.config, peers)
    """

    group: ClassVar[str] = "protocol"

    node: Any = None
    """The class of its nodes."""
    client: Any = None
    """The class of its clients."""


def settings_key(key: str) -> str:
    """Returns the key of a chosen plugin's settings, given the key of the choice: `group_config` for `group`."""
    return f"{key}_config"


def choices_in(config: Any, kind: type[C]) -> dict[str, C]:
    """Returns the plugins of a kind that are chosen in `config`, by field."""
    fields = {name: getattr(config, name) for name in getattr(config, "__struct_fields__", ())}
    return {name: value for name, value in fields.items() if isinstance(value, kind)}


def chosen_classes(config: Config | None) -> tuple[type, ...]:
    """Returns the node and client classes of the protocols chosen in `config`."""
    choices = choices_in(config, ProtocolChoice).values()
    return tuple(each for choice in choices for each in (choice.node, choice.client) if each is not None)
