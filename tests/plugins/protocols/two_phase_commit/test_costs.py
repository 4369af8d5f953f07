"""What a transaction costs: messages between different nodes, and forced writes, without time-outs and repetitions.

The figures are those of Mohan, Lindsay and Obermarck (R*), and of Lampson and Lomet (1993), for n subordinates of which k
vote no.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.plugins.protocols.two_phase_commit.stories import cluster, commit, count_messages, forced_writes

PRESUMED = ("nothing", "abort", "commit")


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("presumed", "messages", "forced"),
    [
        ("nothing", lambda n: 4 * n, lambda n: 2 * n + 1),
        ("abort", lambda n: 4 * n, lambda n: 2 * n + 1),
        ("commit", lambda n: 3 * n, lambda n: n + 2),
    ],
)
def test_a_commit(presumed: str, messages: object, forced: object, n: int) -> None:
    assert callable(messages) and callable(forced)
    nodes = cluster(f"presumed={presumed}", nodes=n + 1)
    operation = commit(nodes, *["yes"] * n)
    seen = count_messages(nodes)
    assert nodes.outcomes[operation].value == "committed"  # type: ignore[union-attr]
    assert (seen.total(), forced_writes(nodes)) == (messages(n), forced(n))


@pytest.mark.parametrize(("n", "k"), [(1, 1), (3, 1), (3, 2), (3, 3), (5, 2)])
@pytest.mark.parametrize("first", ["yes", "no"])
@pytest.mark.parametrize(
    ("presumed", "messages"),
    [
        ("nothing", lambda n, k: 4 * n - 2 * k),
        ("abort", lambda n, k: 3 * n - k),
        ("commit", lambda n, k: 4 * n - 2 * k),
    ],
)
def test_an_abort(presumed: str, messages: object, first: str, n: int, k: int) -> None:
    assert callable(messages)
    nodes = cluster(f"presumed={presumed}", nodes=n + 1)
    operation = commit(nodes, *sorted(["yes"] * (n - k) + ["no"] * k, reverse=first == "yes"))
    assert count_messages(nodes).total() == messages(n, k)
    assert nodes.outcomes[operation].value == "aborted"  # type: ignore[union-attr]


@pytest.mark.parametrize("presumed", PRESUMED)
def test_a_subordinate_that_only_reads_costs_two_messages_and_no_write(presumed: str) -> None:
    with_reader = cluster(f"presumed={presumed}")
    commit(with_reader, "yes", "read-only", "yes")
    without = cluster(f"presumed={presumed}", nodes=3)
    commit(without, "yes", "yes")
    assert count_messages(with_reader) - count_messages(without) == Counter(Prepare=1, Voted=1)
    assert forced_writes(with_reader) == forced_writes(without)
    assert with_reader.stored("n3") == {}


@pytest.mark.parametrize("n", [2, 3, 6])
def test_a_coordinator_on_the_machine_of_a_participant(n: int) -> None:
    """Gray and Lamport's basis: 3N-3 messages without acknowledgements, N prepared and one decision on record."""
    nodes = cluster("coordinators=0", "presumed=commit", nodes=n)
    commit(nodes, *["yes"] * n)
    assert count_messages(nodes).total() == 3 * n - 3
    assert forced_writes(nodes) == n + 2  # with the collecting record

    acknowledging = cluster("coordinators=0", nodes=n)
    commit(acknowledging, *["yes"] * n)
    seen = count_messages(acknowledging)
    assert seen.total() - seen["Acknowledged"] == 3 * n - 3
    assert forced_writes(acknowledging) == (n + 1) + (n - 1)  # and the others' records of the commit


@pytest.mark.parametrize(("presumed", "forced"), [("nothing", 1 + 2 + 1 + 2), ("abort", 2)])
def test_what_is_forced_to_abort(presumed: str, forced: int) -> None:
    """Presumed nothing: decision, two votes of yes, a no, two records of the decision. Presumed abort: the votes of yes."""
    nodes = cluster(f"presumed={presumed}")
    commit(nodes, "yes", "yes", "no")
    count_messages(nodes)
    assert forced_writes(nodes) == forced


def test_presumed_commit_forces_the_collecting_record_and_not_the_coordinators_abort() -> None:
    nodes = cluster("presumed=commit")
    commit(nodes, "yes", "yes", "no")
    assert [line for line in nodes.log if line.startswith("  commits")] == [
        "  commits collected=1, table[0]=Entry(transaction=#0 x (n2 yes, n3 yes, n4 no))"
    ]
    count_messages(nodes)
    assert forced_writes(nodes) == 1 + 2 + 1 + 2  # collecting; yes; no; the aborts that are acknowledged
    assert nodes.node("n1").decisions.get(0) is None
    assert len(nodes.node("n1").table) == 0
