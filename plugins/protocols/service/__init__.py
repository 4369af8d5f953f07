"""A service of many servers, and dispatchers that balance the load on them by a balancer of the user's choice."""

from __future__ import annotations

from framework import ProtocolSpec, Sometimes, hookimpl
from plugins.protocols.service.config import ServiceConfig
from plugins.protocols.service.invariants import INVARIANTS
from plugins.protocols.service.messages import DISPATCHER, SERVER
from plugins.protocols.service.node import Dispatcher, Server, ServiceClient, unfinished


def dispatchers(config: ServiceConfig) -> int:
    return config.dispatchers


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="service",
            summary="Dispatchers spread requests over servers with queues, by a balancer.",
            client=ServiceClient,
            roles={DISPATCHER: (Dispatcher, dispatchers), SERVER: (Server, None)},
            config=ServiceConfig,
            operations=("serve",),
            checkers=("requests",),
            recovers=True,
            settled=unfinished,
            sometimes=(
                Sometimes("a server did not answer", "gave_up"),
                Sometimes("a queue was full", "rejected"),
                Sometimes("an answer came late", "late_answer"),
            ),
            invariants=INVARIANTS,
        )
    ]
