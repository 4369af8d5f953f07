"""The choice of a protocol within another one's config, so that its nodes can be mounted."""

from __future__ import annotations

from typing import Any

from framework.core.message import Config, Record


class ProtocolChoice(Record):
    """A protocol that another one mounts, chosen by config; given a default by name.

        class RouterConfig(Config):
            group: ProtocolChoice = ProtocolChoice("raft")

    `protocol.group=multipaxos` chooses another one, `protocol.group_config.max_batch=10` sets its settings. In a run,
    `node` and `client` are its classes, and `config` is its config:

        group = self.config.group
        self.mount("shard-7", group.node, group.config, peers)
    """

    name: str
    node: Any = None
    """The class of its nodes."""
    client: Any = None
    """The class of its clients."""
    config: Any = None


def settings_key(key: str) -> str:
    """Returns the key of the chosen protocol's settings, given the key of the choice: `group_config` for `group`."""
    return f"{key}_config"


def choices_in(config: Any) -> dict[str, ProtocolChoice]:
    """Returns the protocols chosen in `config`, by field."""
    fields = {name: getattr(config, name) for name in getattr(config, "__struct_fields__", ())}
    return {name: value for name, value in fields.items() if isinstance(value, ProtocolChoice)}


def chosen_classes(config: Config | None) -> tuple[type, ...]:
    """Returns the node and client classes of the protocols chosen in `config`."""
    choices = choices_in(config).values()
    return tuple(each for choice in choices for each in (choice.node, choice.client) if each is not None)
