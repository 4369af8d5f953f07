"""A cache over several nodes: keys are placed on them, and nodes join, leave and die."""

from __future__ import annotations

from collections.abc import Mapping

from framework import Node, NodeId, ProtocolSpec, Sometimes, hookimpl
from plugins.protocols.cache.client import CacheClient
from plugins.protocols.cache.config import CACHE, DIRECTORY, CacheConfig
from plugins.protocols.cache.directory import Directory
from plugins.protocols.cache.invariants import INVARIANTS
from plugins.protocols.cache.server import Cache


def unsettled(nodes: Mapping[NodeId, Node]) -> str | None:
    """Returns why the list of caches is not yet that of the running ones, or who does not know it; None if all is
    well."""
    directories = [node for node in nodes.values() if isinstance(node, Directory)]
    for directory in directories:
        for name, node in nodes.items():
            if not isinstance(node, Cache):
                continue
            listed = name in directory.admitted
            if listed != bool(directory.wanted.get(name)):
                return f"{name} runs, and {directory.id} {'still lists it' if listed else 'does not list it'}"
            if listed and (node.view is None or node.view.epoch != directory.epoch):
                return f"{name} does not know epoch {directory.epoch}"
        for name in directory.admitted:
            if name not in nodes:
                return f"{name} does not run, and {directory.id} lists it"
    return None


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="cache",
            summary="A cache whose keys are placed on its nodes, which join, leave and die.",
            roles={DIRECTORY: (Directory, 1), CACHE: (Cache, None)},
            client=CacheClient,
            config=CacheConfig,
            operations=("get", "put", "join", "leave", "report"),
            checkers=("cache",),
            recovers=True,
            settled=unsettled,
            sometimes=(
                Sometimes("the list of caches changed", "view"),
                Sometimes("a cache handed off entries", "handed_off"),
            ),
            invariants=INVARIANTS,
        )
    ]
