"""The quorums of Maekawa's algorithm: a set for each node, any two of which share a node.

For N = q² + q + 1 nodes, where a finite projective plane of order q is known, the sets are its lines: they have q + 1
nodes, and any two share exactly one. A line is a shift of a *perfect difference set* D (Singer 1938): each difference
of two nodes, modulo N, is that of exactly one pair of D. For other N the nodes fill a grid by rows, and the set of a
node is its row and its column: 2√N - 1 nodes in a square.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

from framework import NodeId

DIFFERENCE_SETS = {
    7: (0, 1, 3),
    13: (0, 1, 3, 9),
    21: (0, 1, 4, 14, 16),
    31: (0, 1, 3, 8, 12, 18),
}
"""By the number of nodes: the planes of orders 2, 3, 4 and 5."""


def quorum_of(node: NodeId, members: Sequence[NodeId]) -> tuple[NodeId, ...]:
    """Returns the nodes whose permission `node` needs, itself among them."""
    count, at = len(members), members.index(node)
    if count in DIFFERENCE_SETS:
        places = {(at + difference) % count for difference in DIFFERENCE_SETS[count]}
    else:
        # If the last row is not full, it may have no place in the column of a node in another row. But then that row has a
        # place in the column of each node of the last one: any two sets share a node.
        width = isqrt(count - 1) + 1
        places = {place for place in range(count) if place // width == at // width or place % width == at % width}
    return tuple(members[place] for place in sorted(places))
