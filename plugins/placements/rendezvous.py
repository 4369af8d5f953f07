"""Rendezvous hashing, also called highest random weight (Thaler and Ravishankar, 1996 and 1998), and its weighted
form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from framework import (
    Hashes,
    Indices,
    Placement,
    PlacementConfig,
    PlacementSpec,
    hookimpl,
    mixed,
    mixed_many,
)

_Unsigned: TypeAlias = npt.NDArray[Any]
"""Hashes or scores: uint64, or uint32 if scores have 32 bits."""

_CHUNK = 1 << 15
"""Hashes that are scored together, so that the scores stay in the cache."""

_GROUP = 255
"""Nodes among which the best of each hash is remembered in one byte."""

_PLACES = 0xFFFF
"""The last bits of a score of 64 bits say whose it is, the first node having the most: the highest score names its
node."""


class RendezvousConfig(PlacementConfig):
    """How exact scores are."""

    bits: Literal[32, 64] = 64
    """Bits of a score. With 32, many look-ups at once take half the time; two nodes tie for one id in 2³²."""


class Rendezvous(Placement):
    """Each node has a score for each id; the highest wins, and the next ones have the further replicas.

    With weights, the score is -weight / ln(u), where u is uniform between 0 and 1 (Schindelhauer and Schomaker 2005; in
    this form, Resch 2015). A look-up computes the scores of all nodes.
    """

    weights = True
    moves_minimally_on = ("add", "add_last", "remove", "remove_last")

    def rebuild(self) -> None:
        self._seeds = self.hash_many(self.nodes)
        self._seed_list: list[int] = self._seeds.tolist()
        self._codes = np.uint64(_PLACES) - np.arange(len(self.nodes), dtype=np.uint64)
        self._code_list: list[int] = self._codes.tolist()
        if len(self.nodes) > _PLACES:
            raise ValueError(f"rendezvous takes {_PLACES:,} nodes at most, not {len(self.nodes):,}")
        weights = [member.weight for member in self.members]
        self._weights: list[float] | None = None if len(set(weights)) == 1 else weights

    def first(self, hash: int) -> int:
        scores = self._scores(hash)
        return scores.index(max(scores))

    def candidates(self, hash: int) -> Iterator[int]:
        scores = self._scores(hash)
        order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
        while True:
            yield from order

    def column(self, hashes: Hashes, position: int) -> Indices:
        found = np.empty(len(hashes), dtype=np.int32)
        for start in range(0, len(hashes), _CHUNK):
            chunk = self._shortened(hashes[start : start + _CHUNK])
            found[start : start + _CHUNK] = self._highest(chunk) if position == 0 else self._ranked(chunk, position)
        return found

    def _shortened(self, hashes: Hashes) -> _Unsigned:
        """Returns the bits of hashes that count."""
        return hashes if self.config.bits == 64 else hashes.astype(np.uint32)

    def _scores(self, hash: int) -> list[float]:
        if self.config.bits == 64:
            scores = [mixed(hash ^ seed) for seed in self._seed_list]
            if self._weights is None:
                return [score & ~_PLACES | code for score, code in zip(scores, self._code_list, strict=True)]
        else:
            scores = [mixed((hash ^ seed) & 0xFFFFFFFF, 32) for seed in self._seed_list]
            if self._weights is None:
                return scores  # type: ignore[return-value]
        return [-weight / math.log(self._uniform(score)) for weight, score in zip(self._weights, scores, strict=True)]

    def _uniform(self, score: int) -> float:
        """Returns a score as a number between 0 and 1, neither of which it is."""
        return ((score >> 11) + 0.5) * 2.0**-53 if self.config.bits == 64 else (score + 0.5) * 2.0**-32

    def _highest(self, chunk: _Unsigned) -> Indices:
        best, scores, scratch = self._scored(chunk, 0), np.empty_like(chunk), np.empty_like(chunk)
        if self.config.bits == 64 and self._weights is None:
            for index in range(1, len(self.nodes)):
                np.maximum(best, self._scored(chunk, index, scores, scratch), out=best)
            return (np.uint64(_PLACES) - (best & np.uint64(_PLACES))).astype(np.int32)
        found = np.zeros(len(chunk), dtype=np.int32)
        higher, number = np.empty(len(chunk), dtype=np.bool_), np.empty(len(chunk), dtype=np.uint8)
        for first in range(1, len(self.nodes), _GROUP):
            last = np.zeros(
                len(chunk), dtype=np.uint8
            )  # in this group, the last that was better than all before; from 1
            for place, index in enumerate(range(first, min(first + _GROUP, len(self.nodes))), 1):
                scored = self._scored(chunk, index, scores, scratch)
                np.greater(scored, best, out=higher)
                np.multiply(higher.view(np.uint8), np.uint8(place), out=number)
                np.maximum(last, number, out=last)
                np.maximum(best, scored, out=best)
            np.copyto(found, last + np.int32(first - 1), where=last > 0)
        return found

    def _ranked(self, chunk: _Unsigned, position: int) -> Indices:
        scores = np.stack([self._scored(chunk, index) for index in range(len(self.nodes))])
        falling = -scores if self._weights is not None else ~scores
        found: Indices = np.argsort(falling, axis=0, kind="stable")[position % len(self.nodes)].astype(np.int32)
        return found

    def _scored(
        self, chunk: _Unsigned, index: int, out: _Unsigned | None = None, scratch: _Unsigned | None = None
    ) -> npt.NDArray[Any]:
        """Returns the scores of a node: uint32 or uint64, in `out`; float64 with weights. `scratch` is overwritten."""
        seed = self._seeds[index].astype(chunk.dtype)
        scores: npt.NDArray[Any] = mixed_many(np.bitwise_xor(chunk, seed, out=out), scratch)
        if self._weights is not None:
            scores = scores >> np.uint64(11) if self.config.bits == 64 else scores
            uniform = (scores + 0.5) * (2.0**-53 if self.config.bits == 64 else 2.0**-32)
            weighted: npt.NDArray[np.float64] = -self._weights[index] / np.log(uniform)
            return weighted
        if self.config.bits == 64:
            scores &= np.uint64(~_PLACES & (1 << 64) - 1)
            scores |= self._codes[index]
        return scores


@hookimpl
def register_placements() -> list[PlacementSpec]:
    return [
        PlacementSpec(
            name="rendezvous", placement=Rendezvous, config=RendezvousConfig,
            summary="The node with the highest score for an id (Thaler and Ravishankar, 1998), with weights.",
        )
    ]  # fmt: skip
