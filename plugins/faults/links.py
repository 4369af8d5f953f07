"""Link faults: lost, duplicated, reordered or delayed messages, on some links or on all."""

from __future__ import annotations

import random
import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta

from framework import (
    ClusterView,
    ConfigError,
    Duration,
    Fault,
    FaultConfig,
    FaultSpec,
    ImpairLinks,
    Impairment,
    Injection,
    NodeId,
    OnJoin,
    RestoreLinks,
    check_target,
    hookimpl,
)

_TWO_NODES = re.compile(r"(n\d+)[^\w:]+(n\d+)")

Probability = Annotated[float, Meta(gt=0, le=1)]


class LinksConfig(FaultConfig):
    """The affected links."""

    at: Duration = Duration("1s")
    every: Duration = Duration("3s")
    lasts: Duration = Duration("2s")
    links: str = "all"
    """`all` (including the clients'), one direction as in `n1:n2` (from n1 to n2), or a target, for all links from and
    to it: a node's name, a role, `random`, `random_minority`, `random_majority`."""


class LossConfig(LinksConfig):
    """The loss rate."""

    probability: Probability = 0.1
    """Probability that a message is lost."""


class DuplicateConfig(LinksConfig):
    """The duplication rate."""

    probability: Probability = 0.1
    """Probability that a message is duplicated."""
    spread: Duration = Duration("20ms")
    """Maximum extra delay of the second copy."""


class ReorderConfig(LinksConfig):
    """The reordering rate."""

    probability: Probability = 0.2
    """Probability that a message is held back."""
    spread: Duration = Duration("20ms")
    """Maximum time that a message is held back while others overtake it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.spread:
            raise ValueError("spread=0 lets nothing be overtaken: give it a time, as in 20ms")


class DelayConfig(LinksConfig):
    """The extra delay."""

    by: Duration = Duration("100ms")
    """Extra delay of every message."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.by:
            raise ValueError("by=0 delays nothing: give it a time, as in 100ms")


class LinksFault(Fault):
    """Base class of link faults."""

    config: LinksConfig

    @abstractmethod
    def impairment(self) -> Impairment:
        """Returns the impairment applied to each message."""

    @property
    def target(self) -> str:
        return self.config.links

    def validate_nodes(self, key: str, nodes: Sequence[NodeId], spares: Sequence[NodeId]) -> None:
        sender, colon, receiver = self.config.links.partition(":")
        misspelt = _TWO_NODES.fullmatch(self.config.links)
        if misspelt is not None:
            raise ConfigError(
                f"{key}.links={self.config.links}", "is not a link", "Write {}:{}.".format(*misspelt.groups())
            )
        if colon and sender == receiver:
            raise ConfigError(
                f"{key}.links={self.config.links}", "a node has no link to itself", f"Write {nodes[0]}:{nodes[-1]}."
            )
        if not colon:
            check_target(f"{key}.links", sender, nodes)
        for end in (sender, receiver) if colon else ():
            if end not in nodes:
                raise ConfigError(
                    f"{key}.links={self.config.links}", f"there is no node {end!r}",
                    f"There are: {', '.join(nodes)}; write {nodes[0]}:{nodes[-1]}.",
                )  # fmt: skip

    def inject(self, view: ClusterView) -> Injection | None:
        links, against, detail = self._links(view)
        if not links:
            return None
        token = view.token()
        on_join = None if ":" in self.config.links else self._on_join(token, against, view)
        return Injection(
            (ImpairLinks(token, links, self.impairment()),), (RestoreLinks(token),), against, detail, on_join
        )

    @classmethod
    def random_options(cls, rng: random.Random) -> dict[str, Any]:
        return {"links": rng.choice(("all", "all", "leader", "random", "random_minority"))}

    def _links(self, view: ClusterView) -> tuple[tuple[tuple[NodeId, NodeId], ...], tuple[NodeId, ...], str]:
        """Returns the links, the nodes that they belong to, and a description."""
        chosen = self.config.links
        sender, colon, receiver = chosen.partition(":")
        if colon:
            return ((sender, receiver),), (sender, receiver), f"{sender} to {receiver}"
        everyone = (*view.nodes, *view.clients)
        servers = view.nodes if chosen == "all" else view.select(chosen)
        links = tuple((a, b) for a in everyone for b in everyone if a != b and (a in servers or b in servers))
        return links, servers, "all links" if chosen == "all" else f"links of {' '.join(servers)}"

    def _on_join(self, token: int, servers: Sequence[NodeId], view: ClusterView) -> OnJoin:
        """Extends the impairment to a joining node: to all its links, or to those with the targets `servers`."""
        everyone = [*view.nodes, *view.clients]

        def extend(node: NodeId, rng: random.Random) -> Injection:
            others = everyone if self.config.links == "all" else servers
            links = tuple(link for other in others for link in ((node, other), (other, node)))
            everyone.append(node)
            which = "all its links" if self.config.links == "all" else f"its links with {' '.join(servers)}"
            return Injection((ImpairLinks(token, links, self.impairment()),), detail=f"{node} joined, {which} too")

        return extend


class LossFault(LinksFault):
    """Loses messages."""

    config: LossConfig

    def impairment(self) -> Impairment:
        return Impairment(loss=self.config.probability)

    def expected_touched(self, injection: Injection, messages: int) -> float:
        return messages * self.config.probability

    @classmethod
    def random_options(cls, rng: random.Random) -> dict[str, Any]:
        return super().random_options(rng) | {"probability": rng.choice((0.02, 0.1, 0.3))}


class DuplicateFault(LinksFault):
    """Duplicates messages."""

    config: DuplicateConfig

    def impairment(self) -> Impairment:
        return Impairment(duplicate=self.config.probability, spread=int(self.config.spread))

    def expected_touched(self, injection: Injection, messages: int) -> float:
        return messages * self.config.probability

    @classmethod
    def random_options(cls, rng: random.Random) -> dict[str, Any]:
        return super().random_options(rng) | {
            "probability": rng.choice((0.05, 0.2)),
            "spread": rng.choice(("2ms", "50ms")),
        }


class ReorderFault(LinksFault):
    """Holds messages back so that later ones overtake them."""

    config: ReorderConfig

    def impairment(self) -> Impairment:
        return Impairment(reorder=self.config.probability, spread=int(self.config.spread))

    def expected_touched(self, injection: Injection, messages: int) -> float:
        return messages * self.config.probability

    @classmethod
    def random_options(cls, rng: random.Random) -> dict[str, Any]:
        return super().random_options(rng) | {
            "probability": rng.choice((0.1, 0.5)),
            "spread": rng.choice(("5ms", "50ms")),
        }


class DelayFault(LinksFault):
    """Delays messages without reordering them."""

    config: DelayConfig

    def impairment(self) -> Impairment:
        return Impairment(delay=int(self.config.by))

    @classmethod
    def random_options(cls, rng: random.Random) -> dict[str, Any]:
        return super().random_options(rng) | {"by": rng.choice(("5ms", "50ms", "200ms"))}


@hookimpl
def register_faults() -> list[FaultSpec]:
    return [
        FaultSpec(name="loss", fault=LossFault, config=LossConfig, summary="Messages are lost."),
        FaultSpec(name="duplicate", fault=DuplicateFault, config=DuplicateConfig, summary="Messages come twice."),
        FaultSpec(name="reorder", fault=ReorderFault, config=ReorderConfig, summary="Messages overtake one another."),
        FaultSpec(
            name="delay", fault=DelayFault, config=DelayConfig, summary="Messages are late, on one link or on all."
        ),
    ]
