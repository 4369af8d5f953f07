"""Random schedules: messages lost, doubled and out of order, crashes in mid-write, partitions, clocks apart.

`swarm(seed)` draws a cluster, its config and the odds of each kind of trouble from the seed, lives through them, then
heals it all and asks for progress.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec

from framework import Ok, Violation
from plugins.protocols.raft.messages import PreVote, PreVoted, RequestVote, Vote
from plugins.protocols.raft.node import Raft
from tests.plugins.protocols.raft.cluster import administer, raft_cluster, tape_of
from tests.plugins.protocols.raft.properties import Properties
from tests.plugins.protocols.raft.watching import Watching

ACTIONS = 600
BALLOTS = (PreVote, PreVoted, RequestVote, Vote)


class Swarm:
    def __init__(self, seed: int, node: type[Raft] = Raft, spares: int = 0, **config: Any) -> None:
        self.rng = rng = random.Random(seed)
        check_quorum = rng.random() < 0.6
        read_mode = rng.choice(("log", "read_index", "lease" if check_quorum else "read_index"))
        size = rng.choice((1, 3, 3, 3, 5))
        drawn: dict[str, Any] = {
            "max_append_entries": rng.choice((1, 1, 2, 1024)),
            "max_append_bytes": rng.choice((1, 1 << 20)),
            "max_in_flight": rng.choice((1, 1, 3, 1024)),
            "prevote": rng.random() < 0.6,
            "check_quorum": check_quorum,
            "read_mode": read_mode,
            "max_clock_drift_ppm": 0,
            "snapshot_every": rng.choice((0, 1, 3, 10)),
            "snapshot_trailing": rng.choice((0, 0, 1, 5)),
            "snapshot_chunk": rng.choice((1 << 20, 8)),
        }
        self.clients = ("c1", "c2", "c3")
        settings = drawn | config
        own_clocks = settings["read_mode"] != "lease"  # each goes its own pace
        self.cluster = raft_cluster(
            size, node, seed, spares=spares, clients=self.clients, own_clocks=own_clocks, **settings
        )
        self.properties = Properties(self.cluster)
        self.watching = Watching(self.cluster, self.properties)
        slow_share = rng.choice((0, 0.5, 1))
        for server in self.cluster.servers:
            if rng.random() < slow_share:
                self.cluster.slow_disk(server)
        self.in_order = rng.random() < 0.4
        self.busy: dict[str, tuple[int, int]] = {}  # client -> (operation, `newest` when it was invoked)
        self.wished = 0  # changes of members, so far
        self.added = 0  # values, so far
        self.adding: dict[str, bool] = {}  # client -> whether it adds; else it reads
        self.newest = 0  # the highest place that an answer told of
        self.crashes = rng.choice((0, 3, 8))
        odds = {
            self.deliver: 60,
            self.finish_commit: rng.choice((5, 25)),
            self.fire_timer: rng.choice((2, 5, 10)),
            self.campaign: rng.choice((0, 2, 8)),
            self.invoke: 8,
            self.transfer: rng.choice((0, 0, 1, 3)),
            self.drop: rng.choice((0, 2, 10)),
            self.double: rng.choice((0, 4)),
            self.crash: self.crashes,
            self.restart: 12,
            self.change_disk: rng.choice((0, 4)),
            self.change_partition: rng.choice((0, 1)),
        }
        if spares:
            odds[self.change_members] = 12
        self.actions, self.weights = list(odds), list(odds.values())

    def run(self) -> None:
        for action in self.rng.choices(self.actions, self.weights, k=ACTIONS):
            action()
            self.collect()
        self.heal()

    def heal(self) -> None:
        """No more trouble: every operation ends, and all nodes hold the same tape, with each value once."""
        cluster = self.cluster
        cluster.heal()
        for server in cluster.servers:
            cluster.fast_disk(server)
            if server not in cluster.up:
                cluster.restart(server)
        cluster.run(until=lambda: all(operation in cluster.outcomes for operation, _ in self.busy.values()))
        self.collect()
        committed = len(self.properties.committed)
        cluster.run(
            until=lambda: all(
                node.commit >= committed and node.commit == node.log.last for node in cluster.nodes() if node.replica
            )
        )
        tapes = [tape_of(cluster, node.id) for node in cluster.nodes() if node.replica]
        if any(tape != tapes[0] for tape in tapes) or sorted(tapes[0]) != list(range(1, self.added + 1)):
            raise Violation("once only", cluster.servers, f"{self.added} values were added, the tapes hold {tapes}")

    def collect(self) -> None:
        """Takes the answers: places on the tape, and its lengths, must agree with the order in real time."""
        for client, (operation, newest) in list(self.busy.items()):
            outcome = self.cluster.outcomes.get(operation)
            if outcome is None:
                continue
            del self.busy[client]
            assert isinstance(outcome, Ok), outcome
            if outcome.value < newest + self.adding[client]:
                raise Violation("linearizability", [client], f"operation {operation} came to stand before earlier ones")
            self.newest = max(self.newest, outcome.value)

    def deliver(self) -> None:
        cluster, rng = self.cluster, self.rng
        near = cluster.deliverable()
        if near:
            first = near[0] if self.in_order and rng.random() < 0.9 else rng.choice(near)
            batch = [each for each in near if each.to == first.to and each is not first]
            cluster.deliver_batch(first, *batch[: rng.choice((0, 0, 1, 3))])
        if len(cluster.envelopes) > 80:
            for each in cluster.envelopes[:20]:
                if each.sender != each.to:
                    cluster.drop(each)

    def finish_commit(self) -> None:
        if self.cluster.committing:
            self.cluster.finish_commit(self.rng.choice(sorted(self.cluster.committing)))

    def fire_timer(self) -> None:
        cluster = self.cluster
        free = [name for name in cluster.up if name not in cluster.committing and cluster.timers(name)]
        if free:
            for chosen in self.rng.sample(free, min(len(free), self.rng.choice((1, 1, 2)))):
                cluster.time_out(chosen)

    def campaign(self) -> None:
        """One or two servers stand; their election runs ahead of other traffic, amid writes and crashes."""
        cluster, rng = self.cluster, self.rng
        election = ("", "start_election", ())
        free = [
            node.id
            for node in cluster.nodes()
            if node.id not in cluster.committing and election in cluster.timers(node.id)
        ]
        for candidate in rng.sample(free, min(len(free), rng.choice((1, 1, 2)))):
            cluster.time_out(candidate, "start_election")
        for _ in range(2 * len(cluster.servers)):
            for server in sorted(cluster.committing):
                what = rng.random()
                if what < 0.7:
                    cluster.finish_commit(server)
                elif what < 0.7 + self.crashes / 40 and server in cluster.servers:
                    cluster.crash(server, keep_commit=rng.random() < 0.3)
                    cluster.restart(server)
            ballots = [each for each in cluster.deliverable() if isinstance(each.message, BALLOTS)]
            if ballots:
                cluster.deliver(rng.choice(ballots))

    def invoke(self) -> None:
        client = self.rng.choice(self.clients)
        if client not in self.busy:
            adds = self.adding[client] = self.rng.random() < 0.6
            self.added += adds
            call = ("add", None, self.added) if adds else ("read", None, None)
            self.busy[client] = (self.cluster.invoke(client, *call), self.newest)

    def transfer(self) -> None:
        """An administrator wants another leader."""
        up = [server for server in self.cluster.servers if server in self.cluster.up]
        free = [server for server in up if server not in self.cluster.committing]
        if free:
            administer(self.cluster, self.rng.choice(free), 0, "transfer_leader", self.rng.choice(up))

    def change_members(self) -> None:
        """An administrator wants a server in the group, or out of it."""
        up = [server for server in self.cluster.servers if server in self.cluster.up]
        free = [server for server in up if server not in self.cluster.committing]
        if free:
            function, about = self.rng.choice(("add_node", "remove_node")), self.rng.choice(self.cluster.servers)
            self.wished += 1
            administer(self.cluster, self.rng.choice(free), self.wished, function, about, self.rng.choice(("a1", "a2")))

    def drop(self) -> None:
        between = [each for each in self.cluster.envelopes if each.sender != each.to]
        if between:
            self.cluster.drop(self.rng.choice(between))

    def double(self) -> None:
        if self.cluster.envelopes:
            self.cluster.envelopes.append(self.rng.choice(self.cluster.envelopes))

    def crash(self) -> None:
        """Most crashes come in the middle of a write, where they hurt."""
        writing = [server for server in self.cluster.servers if server in self.cluster.committing]
        up = [server for server in self.cluster.servers if server in self.cluster.up]
        among = writing if writing and self.rng.random() < 0.7 else up
        if among:
            struck, keeps = self.rng.choice(among), self.rng.random() < 0.3
            self.cluster.crash(struck, keep_commit=keeps and struck in self.cluster.committing)

    def restart(self) -> None:
        down = [server for server in self.cluster.servers if server not in self.cluster.up]
        if down:
            self.cluster.restart(self.rng.choice(down))

    def change_disk(self) -> None:
        server = self.rng.choice(self.cluster.servers)
        if server in self.cluster.slow_disks:
            self.cluster.fast_disk(server)
        else:
            self.cluster.slow_disk(server)

    def change_partition(self) -> None:
        servers = list(self.cluster.servers)
        self.rng.shuffle(servers)
        middle = self.rng.randrange(len(servers))
        if middle:
            self.cluster.partition(servers[:middle], servers[middle:])
        else:
            self.cluster.heal()


def swarm(seed: int, node: type[Raft] = Raft, spares: int = 0, **config: Any) -> None:
    """One schedule; Violation or AssertionError if Raft does not hold. What `config` leaves open is drawn."""
    Swarm(seed, node, spares, **config).run()


def first_failure(node: type[Raft], seeds: int, spares: int = 0, start: int = 0) -> tuple[int, str]:
    """The first of so many seeds from `start` on whose schedule breaks `node`, and the property that it breaks; (-1, "")
    if all hold."""
    for seed in range(start, start + seeds):
        try:
            swarm(seed, node, spares)
        except Violation as violation:
            return seed, violation.name
        except (AssertionError, msgspec.MsgspecError) as broken:  # the latter: a snapshot that is none
            return seed, str(broken)
    return -1, ""
