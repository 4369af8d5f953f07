"""A balancer's estimate of the load of a server: counted, reported, or both."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Literal

from framework.balancing.balancer import BalancerConfig, ServerTable
from framework.core.message import NodeId
from framework.core.time import Duration


class LoadConfig(BalancerConfig):
    """Base of the config of balancers that compare loads."""

    load: Literal["outstanding", "reported", "corrected"] = "outstanding"
    """The load of a server. `outstanding`: the dispatcher's own requests there. `reported`: what the server's newest
    report says, however old it is. `corrected`: that, and the dispatcher's requests sent there since."""
    max_age: Duration = Duration(0)
    """Reports that are older do not count, and the dispatcher's own requests do in their place. 0: all count."""


def load_of(server: NodeId, table: ServerTable, config: LoadConfig) -> int:
    """Returns the estimated number of requests at a server."""
    report = table.reports.get(server)
    if config.load == "outstanding" or report is None:
        return table.outstanding[server]
    if config.max_age and table.now - report.received > config.max_age:
        return table.outstanding[server]
    return report.load + table.sent_since[server] if config.load == "corrected" else report.load


def lightest(servers: Iterable[NodeId], table: ServerTable, config: LoadConfig, rng: random.Random) -> NodeId:
    """Returns the server that would finish one more request first: the one with the least (load + 1) / weight. Among
    equals the choice is random, so that dispatchers do not all choose the same one."""
    best: list[NodeId] = []
    least = float("inf")
    for server in servers:
        cost = (load_of(server, table, config) + 1) / table.weights[server]
        if cost < least:
            best, least = [server], cost
        elif cost == least:
            best.append(server)
    return best[0] if len(best) == 1 else best[int(rng.random() * len(best))]
