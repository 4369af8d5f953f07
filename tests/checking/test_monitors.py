"""Monitors show nodes to invariants: each group its own memory, the first violation the end, a failure nobody's crash."""

from __future__ import annotations

import random

import pytest

from framework import Invariant, Node, Step, Violation
from framework.checking.monitors import Breach, Halt, Monitors
from framework.core.node_runtime import NodeRuntime, Start


class Counter(Node):
    def on_start(self) -> None:
        self.count = 0


class Rack(Node):
    mounts = (Counter,)

    def on_start(self) -> None:
        for name in ("a", "b"):
            self.mount(name, Counter, None, ())


class Rises(Invariant[Counter]):
    """No count falls, and none passes 9, which takes a memory of its own for each node."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.shown: list[tuple[str, str, bool]] = []

    def observe(self, step: Step, node: Counter) -> None:
        self.shown.append((step.node, step.path, step.started))
        if not step.started and node.count < self.counts[step.node]:
            raise Violation("rises", (step.node,), f"fell to {node.count}")
        if node.count > 9:
            raise Violation("stops at 9", (), f"is {node.count}")
        self.counts[step.node] = node.count


class Fails(Invariant[Counter]):
    def observe(self, step: Step, node: Counter) -> None:
        raise KeyError(node.count)


def seated(name: str, class_: type[Node] = Counter) -> NodeRuntime:
    host = NodeRuntime(name, random.Random(0))
    host.run_one(Start(class_, None, ()))
    return host


def show(monitors: Monitors, host: NodeRuntime, *counts: int) -> None:
    for seq, count in enumerate(counts, 1):
        host.root.count = count  # type: ignore[attr-defined]
        monitors.watcher(host.id).observe(host, 10 * seq, seq)


def test_what_holds_is_counted() -> None:
    monitors = Monitors((Rises,))
    show(monitors, seated("n1"), 1, 2)
    show(monitors, seated("n2"), 1)
    watch = monitors.watch()
    assert (watch.invariants, watch.observations, watch.breach, watch.failures) == (("Rises",), 3, None, {})


def test_the_first_violation_ends_the_run_and_is_kept_with_its_step() -> None:
    monitors = Monitors((Rises,))
    with pytest.raises(Halt):
        show(monitors, seated("n1"), 4, 3)
    assert monitors.watch().breach == Breach("rises", ("n1",), "fell to 3", time=20, seq=2)


def test_a_violation_that_names_no_node_is_the_shown_ones() -> None:
    monitors = Monitors((Rises,))
    with pytest.raises(Halt):
        show(monitors, seated("n1"), 10)
    assert monitors.watch().breach == Breach("stops at 9", ("n1",), "is 10", time=10, seq=1)


def test_an_end_is_no_exception_that_an_engine_could_take_for_a_crash() -> None:
    assert not issubclass(Halt, Exception)


def test_a_node_that_came_back_has_started() -> None:
    monitors = Monitors((Rises,))
    show(monitors, seated("n1"), 4, 5)
    show(monitors, seated("n1"), 0, 1)
    (rises,) = monitors.group("", seated("n1").root)
    assert isinstance(rises, Rises)
    assert [started for *_, started in rises.shown] == [True, False, True, False]


def test_every_mount_path_is_a_group_of_its_own_and_only_the_watched_class_is_shown() -> None:
    monitors = Monitors((Rises,))
    for name in ("n1", "n2"):
        host = seated(name, Rack)
        monitors.watcher(name).observe(host, 0, 1)
        groups = {path: monitors.group(path, node) for path, node in host.nodes.items()}
    assert groups[""] == []
    shown = {path: group[0].shown for path, group in groups.items() if path}  # type: ignore[attr-defined]
    assert shown == {path: [("n1", path, True), ("n2", path, True)] for path in ("a", "b")}


def test_of_every_third_batch_the_first_is_shown() -> None:
    monitors = Monitors((Rises,), every=3)
    show(monitors, seated("n1"), 1, 0, 0, 2, 0, 0, 3)
    assert monitors.watch().observations == 3


def test_an_invariant_that_fails_is_asked_no_more_and_the_others_are() -> None:
    monitors = Monitors((Fails, Rises))
    show(monitors, seated("n1"), 1, 2)
    assert list(monitors.watch().failures) == ["Fails"]
    assert "KeyError: 1" in monitors.watch().failures["Fails"]
    with pytest.raises(Halt):
        show(monitors, seated("n1"), 5, 4)


class Unmade(Invariant[Counter]):
    def __init__(self) -> None:
        raise KeyError("no memory of its own")

    def observe(self, step: Step, node: Counter) -> None:
        raise AssertionError("it was never made")


class Exits(Invariant[Counter]):
    def observe(self, step: Step, node: Counter) -> None:
        raise SystemExit(1)


@pytest.mark.parametrize("broken", [Unmade, Exits])
def test_one_that_cannot_be_made_or_exits_has_failed_like_any_other(broken: type[Invariant[Counter]]) -> None:
    monitors = Monitors((broken, Rises))
    show(monitors, seated("n1"), 1, 2)
    assert list(monitors.watch().failures) == [broken.__qualname__]
    assert monitors.watch().observations == 2
    with pytest.raises(Halt):
        show(monitors, seated("n1"), 5, 4)


def test_a_mount_that_took_part_in_a_batch_that_is_not_shown_is_shown_with_the_next_one() -> None:
    monitors = Monitors((Rises,), every=3)
    host = seated("n1", Rack)
    watcher = monitors.watcher("n1")
    for seq, active in enumerate(["", "a", "", "b", "", "", ""], 1):
        host.active = {active: host.nodes[active]} if active else {}
        watcher.observe(host, seq, seq)
    shown = {path: len(monitors.group(path, host.nodes[path])[0].shown) for path in ("a", "b")}  # type: ignore[attr-defined]
    assert shown == {"a": 1, "b": 1}
