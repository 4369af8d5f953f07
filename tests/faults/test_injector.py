"""The injector keeps the time of faults, undoes them, heals in the end, and writes down what really happened."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from framework import PeriodicPlan, Status
from framework.core.errors import PluginFailed
from framework.core.time import MILLISECOND, NEVER, SECOND, Duration
from framework.faults.actions import Action, Crash, ImpairLinks, Impairment, Restart, RestoreLinks, SetClock, SetDisk
from framework.faults.fault import Fault, FaultConfig, Injection
from framework.faults.injector import Injector, Sight
from framework.faults.plan import PlannedFault
from framework.faults.targets import ClusterView

NODES = ("n1", "n2", "n3")


class Says(Fault):
    """Does what a test says."""

    def __init__(
        self, strike: Callable[[ClusterView], Injection | None], *, expects: float | None = None, at: str = "1s", every: str = "0",
        lasts: str = "1s",
    ) -> None:  # fmt: skip
        super().__init__(FaultConfig(at=Duration(at), every=Duration(every), lasts=Duration(lasts)))
        self.says, self.expects = strike, expects
        self.then: tuple[PlannedFault, ...] = ()
        self.again = False

    def inject(self, view: ClusterView) -> Injection | None:
        return self.says(view)

    def expected_touched(self, injection: Injection, messages: int) -> float | None:
        return None if self.expects is None else self.expects * messages


class Plan(PeriodicPlan):
    """The fault's own times, with what a test says follows it."""

    def planned_faults(self, name: str, span: int, rng: random.Random) -> Any:
        for planned in super().planned_faults(name, span, rng):
            assert isinstance(self.fault, Says)
            yield replace(planned, then=self.fault.then, retry_if_unmet=self.fault.again)


class World:
    """Three nodes that crash and restart when told to, and a spare, n4; `log` has every action with its time in milliseconds."""

    def __init__(self, *faults: tuple[str, Fault], quiet_at: int = 9 * SECOND, **options: Any) -> None:
        self.now = 0
        self.down: set[str] = set()
        self.lost: set[str] = set()
        self.spares = ["n4"]
        self.roles = dict.fromkeys(NODES, "follower")
        self.log: list[tuple[int, Action]] = []
        self.streams: list[str] = []
        self.injector = Injector(
            [(name, Plan(fault)) for name, fault in faults],
            ("c1",),
            quiet_at=quiet_at,
            stream=self._stream,
            do=self._do,
            **options,
        )

    def run(self, until: int = 20 * SECOND) -> World:
        while (at := self.injector.next_at) <= until:
            self.now = at
            self.injector.due(at, self._look)
        return self

    @property
    def told(self) -> list[tuple[int, str]]:
        return [(at, f"{type(action).__name__} {getattr(action, 'node', '')}".strip()) for at, action in self.log]

    def _stream(self, name: str) -> random.Random:
        self.streams.append(name)
        return random.Random(name)

    def _look(self) -> Sight:
        statuses = {node: None if node in self.down else Status((self.roles[node],)) for node in NODES}
        return Sight(statuses, lost=frozenset(self.lost), spares=tuple(self.spares))

    def _do(self, action: Action) -> bool:
        if isinstance(action, Crash):
            if action.node in self.down:
                return False
            self.down.add(action.node)
        if isinstance(action, Restart):
            if action.node not in (*self.down, *self.spares):
                return False
            self.down.discard(action.node)
            self.spares = [spare for spare in self.spares if spare != action.node]
        self.log.append((self.now // MILLISECOND, action))
        return True


def crashes(node: str, **times: Any) -> Says:
    return Says(lambda view: Injection((Crash(node),), (Restart(node),), (node,)), **times)


def test_a_fault_strikes_and_is_undone_as_often_as_it_should() -> None:
    world = World(("crash", crashes("n1", at="1s", every="3s", lasts="500ms"))).run()
    assert world.told == [
        (1000, "Crash n1"), (1500, "Restart n1"), (4000, "Crash n1"), (4500, "Restart n1"), (7000, "Crash n1"),
        (7500, "Restart n1"),
    ]  # fmt: skip
    entry = world.injector.entries["crash"]
    assert (entry.due, entry.fired, entry.against, entry.roles) == (3, 3, {"n1": 3}, {"follower": 3})
    assert entry.details == ["1s: n1", "4s: n1", "7s: n1"]
    assert world.injector.next_at == NEVER


def test_the_final_heal_ends_what_lasts_and_restarts_whoever_can_be() -> None:
    world = World(("crash", crashes("n1", at="8500ms", lasts="5s")), ("down", crashes("n2", lasts="0")))
    world.run(until=5 * SECOND)
    world.down.add("n3")
    world.run()
    assert world.told[2:] == [(9000, "Restart n1"), (9000, "Restart n2"), (9000, "Restart n3")]
    assert world.injector.healed_at == 9 * SECOND


def test_what_is_lost_is_not_restarted() -> None:
    world = World(("crash", crashes("n1", at="8500ms", lasts="100ms")))
    world.down, world.lost = {"n3"}, {"n3"}
    assert world.run().told == [(8500, "Crash n1"), (8600, "Restart n1")]


def test_nothing_strikes_in_the_quiet_and_without_faults_nothing_heals() -> None:
    assert World(("crash", crashes("n1", at="9s"))).run().log == []
    world = World().run()
    assert (world.injector.healed_at, world.injector.next_at) == (None, NEVER)


def test_a_fault_that_finds_nobody_looks_again_and_then_gives_up() -> None:
    looked: list[int] = []

    def leader(view: ClusterView) -> Injection | None:
        looked.append(view.now // MILLISECOND)
        if view.now < 1_050 * MILLISECOND:
            return None
        return Injection((Crash("n2"),), (Restart("n2"),), ("n2",))

    world = World(("crash", Says(leader, at="1s", lasts="100ms"))).run()
    assert looked == [1000, 1020, 1040, 1060]
    assert world.told == [(1060, "Crash n2"), (1160, "Restart n2")]
    nobody = World(("crash", Says(lambda view: None, at="1s", lasts="100ms"))).run()
    entry = nobody.injector.entries["crash"]
    assert (entry.due, entry.fired, entry.missed) == (1, 0, "fault crash never fired")


def test_an_action_without_effect_is_no_strike() -> None:
    world = World(("crash", crashes("n1", at="1s", lasts="100ms")))
    world.down.add("n1")
    assert world.run(until=8 * SECOND).injector.entries["crash"].fired == 0


def test_what_follows_is_counted_from_the_end_of_what_went_before() -> None:
    fault = crashes("n1", at="1s", lasts="500ms")
    fault.then = (PlannedFault(100 * MILLISECOND, crashes("n2"), "first/then", 200 * MILLISECOND),)
    assert World(("first", fault)).run().told == [
        (1000, "Crash n1"), (1500, "Restart n1"), (1600, "Crash n2"), (1800, "Restart n2"),
    ]  # fmt: skip


def test_of_two_faults_that_hold_a_node_down_the_later_ones_end_counts() -> None:
    disk = Says(
        lambda view: Injection((SetDisk("n1", "full"),), (SetDisk("n1", "none"), Restart("n1"))), at="1s", lasts="2s"
    )
    crash = crashes("n1", at="2s", lasts="2s")
    assert World(("disk", disk), ("crash", crash)).run().told == [
        (1000, "SetDisk n1"), (2000, "Crash n1"), (3000, "SetDisk n1"), (4000, "Restart n1"),
    ]  # fmt: skip


def test_a_clock_that_is_set_twice_keeps_the_later_drift_until_that_ends() -> None:
    def drifts(ppm: int, step: int, **times: Any) -> Says:
        return Says(lambda view: Injection((SetClock("n1", ppm, step),), (SetClock("n1", 0, -step),)), **times)

    first, second = drifts(100, 7, at="1s", lasts="2s"), drifts(-50, 5, at="2s", lasts="2s")
    actions = [action for _, action in World(("first", first), ("second", second)).run().log]
    assert actions == [
        SetClock("n1", 100, 7), SetClock("n1", -50, 5), SetClock("n1", -50, -7), SetClock("n1", 0, -5),
    ]  # fmt: skip


def impairs(view: ClusterView) -> Injection:
    token = view.token()
    return Injection(
        (ImpairLinks(token, (("n1", "n2"),), Impairment(loss=0.5)),), (RestoreLinks(token),), detail="n1->n2"
    )


def test_a_fault_of_chance_counts_what_it_touched_and_what_it_should_have() -> None:
    world = World(("loss", Says(impairs, expects=0.5, at="1s", every="4s", lasts="1s"))).run()
    first, second = world.injector.tokens
    world.injector.count_touched({first: (10, 4), second: (20, 9)})
    entry = world.injector.entries["loss"]
    assert (entry.passed, entry.touched, entry.expected, entry.missed) == (30, 13, 15.0, "")


def test_a_fault_that_touches_nothing_did_not_happen_unless_that_is_chance() -> None:
    def missed(passed: int, expects: float | None) -> str:
        world = World(("loss", Says(impairs, expects=expects, at="1s", lasts="1s"))).run()
        world.injector.count_touched(dict.fromkeys(world.injector.tokens, (passed, 0)))
        return world.injector.entries["loss"].missed

    assert missed(100, 0.5) == "fault loss touched none of 100 messages, 50 expected"
    assert missed(9, 0.5) == ""  # fewer than five were to be expected
    assert missed(0, None) == "fault loss never showed: no message met it"


def test_a_disk_in_trouble_that_no_commit_meets_did_not_show() -> None:
    fault = Says(
        lambda view: Injection((SetDisk("n1", "full"),), (SetDisk("n1", "none"),), ("n1",)), at="1s", lasts="1s"
    )
    world = World(("disk", fault), watches_disks=True).run()
    entry = world.injector.entries["disk"]
    assert entry.missed == "fault disk never showed: no commit met it"
    world.injector.on_disk_fault_met("n1")
    world.injector.on_disk_fault_met("n2")
    assert (entry.touched, entry.missed) == (1, "")
    assert World(("disk", fault)).run().injector.entries["disk"].missed == ""  # an engine that cannot tell


def test_a_disk_that_no_commit_met_is_troubled_again_if_it_is_to_be() -> None:
    fault = Says(lambda view: Injection((SetDisk("n1", "full"),), (SetDisk("n1", "none"),)), at="1s", lasts="1s")
    fault.again = True
    world = World(("disk", fault), watches_disks=True)
    world.run(until=3 * SECOND)
    world.injector.on_disk_fault_met("n1")
    assert world.run().told == [(at, "SetDisk n1") for at in (1000, 2000, 2000, 3000, 3000, 4000)]
    entry = world.injector.entries["disk"]
    assert (entry.due, entry.fired, entry.missed) == (1, 3, "")


def test_what_came_of_a_crash_later_stands_beside_it_in_the_ledger() -> None:
    world = World(("crash", crashes("n1", at="1s", every="2s", lasts="1s")))
    world.run(until=1 * SECOND)
    world.injector.on_crash_outcome("n1", "its commit was torn")
    world.injector.on_crash_outcome("n2", "was never crashed")
    world.run(until=2 * SECOND)
    world.injector.on_crash_outcome("n1", "which was cut off")
    assert world.run().injector.entries["crash"].details == [
        "1s: n1; its commit was torn; which was cut off", "3s: n1", "5s: n1", "7s: n1",
    ]  # fmt: skip


def test_a_crash_that_is_only_counted_has_nothing_beside_it() -> None:
    world = World(("crash", crashes("n1", at="100ms", every="100ms", lasts="50ms"))).run(until=SECOND * 5)
    world.injector.on_crash_outcome("n1", "its commit was torn")
    details = world.injector.entries["crash"].details
    assert len(details) == 20 and not [detail for detail in details if "torn" in detail]


def test_what_the_engine_has_to_say_of_a_strike_stands_in_the_ledger() -> None:
    world = World(("crash", crashes("n1", at="1s", lasts="1s")))
    do = world.injector._do

    def tells(action: Action) -> bool:
        world.injector.remark("its commit was lost")
        return do(action)

    world.injector._do = tells
    assert world.run().injector.entries["crash"].details == ["1s: n1; its commit was lost"]


# Nodes that join.

CUT = Impairment(cut=True)


def cuts(view: ClusterView) -> Injection:
    """Cuts n1 from n2, and whoever joins from n1."""
    token = view.token()

    def joins(node: str, rng: random.Random) -> Injection:
        return Injection((ImpairLinks(token, ((node, "n1"),), CUT),), detail=f"{node} joined")

    return Injection((ImpairLinks(token, (("n2", "n1"),), CUT),), (RestoreLinks(token),), detail="cut", on_join=joins)


def boots(node: str, at: str) -> Says:
    return Says(lambda view: Injection((Restart(node),), (), (node,)), at=at)


def test_a_disturbance_extends_to_a_node_that_joins_before_that_node_boots() -> None:
    world = World(("cut", Says(cuts, at="1s", lasts="3s")), ("join", boots("n4", "2s"))).run()
    assert [action for _, action in world.log] == [
        ImpairLinks(1, (("n2", "n1"),), CUT), ImpairLinks(1, (("n4", "n1"),), CUT), Restart("n4"), RestoreLinks(1),
    ]  # fmt: skip
    assert world.injector.entries["cut"].details == ["1s: cut; n4 joined"]
    assert world.streams == ["cut", "join", "cut/n4"], "a stream of its own: nothing else that is drawn shifts"


def test_one_that_is_over_extends_to_nobody_nor_to_a_node_that_has_run_before() -> None:
    over = World(("cut", Says(cuts, at="1s", lasts="500ms")), ("join", boots("n4", "2s"))).run()
    assert over.told == [(1000, "ImpairLinks"), (1500, "RestoreLinks"), (2000, "Restart n4")]
    again = World(("cut", Says(cuts, at="1s", lasts="3s")), ("crash", crashes("n3", at="1500ms", lasts="500ms"))).run()
    assert again.told == [(1000, "ImpairLinks"), (1500, "Crash n3"), (2000, "Restart n3"), (4000, "RestoreLinks")]
    assert again.injector.entries["cut"].details == ["1s: cut"]


def test_a_node_that_could_not_boot_at_once_joins_once() -> None:
    world = World(("cut", Says(cuts, at="1s", lasts="3s")), ("join", boots("n4", "2s")))
    do, tries = world.injector._do, [True, True, False]
    world.injector._do = lambda action: tries.pop() if isinstance(action, Restart) and not tries[-1] else do(action)
    assert world.run().told == [
        (1000, "ImpairLinks"),
        (2000, "ImpairLinks"),
        (2020, "Restart n4"),
        (4000, "RestoreLinks"),
    ]
    assert world.injector.entries["cut"].details == ["1s: cut; n4 joined"]


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        (KeyError("x"), "faults=cut: on_join raised KeyError: 'x' (tests/faults/test_injector.py:"),
        (
            None,
            "faults=cut: on_join returned None, expected an Injection of ImpairLinks (tests/faults/test_injector.py:",
        ),
        (Injection((Crash("n1"),)), "expected an Injection of ImpairLinks"),
        (
            Injection((ImpairLinks(1, (("n4", "n1"),), Impairment(loss="x")),)),  # type: ignore[arg-type]
            "expected an action whose fields have their types (",
        ),
    ],
)
def test_a_fault_that_does_not_take_in_a_node_as_it_should_is_named(gives: Any, says: str) -> None:
    def joins(node: str, rng: random.Random) -> Any:
        if isinstance(gives, Exception):
            raise gives
        return gives

    def cut(view: ClusterView) -> Injection:
        return Injection((ImpairLinks(1, (("n2", "n1"),), CUT),), (RestoreLinks(1),), detail="cut", on_join=joins)

    with pytest.raises(PluginFailed) as failed:
        World(("cut", Says(cut, at="1s", lasts="3s")), ("join", boots("n4", "2s"))).run()
    assert says in str(failed.value)


@pytest.mark.parametrize(
    ("strike", "says"),
    [
        (None, "inject raised KeyError: 'x' (tests/faults/test_injector.py:"),
        ("x", "inject returned 'x' (str), expected an Injection of tuples (tests/faults/test_injector.py:"),
        (Injection(Crash("n1")), "expected an Injection of tuples"),  # type: ignore[arg-type]
        (Injection((Crash("n1"), "x")), "inject returned 'x' (str), expected an action on one of the nodes"),  # type: ignore[arg-type]
        (
            Injection((SetDisk("n1", "slwo"),)),
            "expected an action whose fields have their types (Invalid enum value 'slwo'",
        ),  # type: ignore[arg-type]
        (
            Injection((ImpairLinks(1, (("n1", "n2"),), Impairment(loss=2.0)),)),
            "fields have their types (Expected `float` <= 1",
        ),
        (
            Injection((ImpairLinks(1, (("n1", "n2"),), Impairment(delay="5ms")),)),
            "fields have their types (Expected `int`",
        ),  # type: ignore[arg-type]
        (
            Injection((ImpairLinks(1, (("n1", "x1"),), Impairment(cut=True)),)),
            "expected an action on one of the nodes",
        ),
        (
            Injection((Crash("n1"),), (Restart("n9"),)),
            "inject returned Restart(node='n9') (Restart), expected an action",
        ),
    ],
)
def test_a_fault_that_does_not_strike_as_it_should_is_named(strike: Any, says: str) -> None:
    def struck(view: ClusterView) -> Any:
        return {}["x"] if strike is None else strike

    with pytest.raises(PluginFailed) as failed:
        World(("odd", Says(struck))).run()
    assert str(failed.value).startswith("faults=odd: inject ") and says in str(failed.value)


def test_a_fault_that_cannot_say_what_to_expect_makes_only_itself_doubtful() -> None:
    cut = ImpairLinks(7, (("n1", "n2"),), Impairment(loss=0.5))
    odd = Says(lambda view: Injection((cut,)), expects=1.0)
    odd.expected_touched = lambda strike, messages: {}["x"]  # type: ignore[method-assign]
    world = World(("odd", odd), ("even", crashes("n1", at="1s", lasts="1s"))).run()
    world.injector.count_touched({7: (10, 5)})
    assert world.injector.entries["odd"].missed.startswith("faults=odd: expected_touched raised KeyError: 'x' (")
    assert world.injector.entries["even"].missed == ""


def test_a_duration_in_an_action_is_a_number_of_nanoseconds() -> None:
    slow = SetDisk("n1", "slow", Duration("5ms"))
    late = ImpairLinks(7, (("n1", "n2"),), Impairment(delay=Duration("2ms")))
    world = World(("late", Says(lambda view: Injection((slow, late), (RestoreLinks(7),))))).run(
        until=1_500 * MILLISECOND
    )
    done = [action for _, action in world.log]
    assert done[:2] == [
        SetDisk("n1", "slow", 5 * MILLISECOND),
        ImpairLinks(7, (("n1", "n2"),), Impairment(delay=2 * MILLISECOND)),
    ]
    assert type(done[0].latency) is int  # type: ignore[union-attr]


def test_a_role_that_a_node_is_given_and_reports_counts_once() -> None:
    roles = {"follower": ("n1",), "backup": ("n1", "n2")}
    world = World(("crash", crashes("n1")), roles=roles).run()
    assert world.injector.entries["crash"].roles == {"backup": 1, "follower": 1}


def test_the_ledger_knows_when_each_fault_was_in_force() -> None:
    def once(view: ClusterView) -> Injection:
        return Injection((Crash("n3"),), (), ("n3",))

    world = World(
        ("short", crashes("n1", at="1s", every="4s", lasts="500ms")), ("long", crashes("n2", at="8s", lasts="5s")),
        ("once", Says(once, at="2s")),
    )  # fmt: skip
    world.run(until=8 * SECOND)
    assert world.injector.entries["long"].spans == [[8 * SECOND, -1]]
    world.run()
    spans = {n: [[at // MILLISECOND for at in s] for s in e.spans] for n, e in world.injector.entries.items()}
    assert spans == {"short": [[1000, 1500], [5000, 5500]], "long": [[8000, 9000]], "once": [[2000, 2000]]}


def test_the_ledger_knows_the_targets_of_each_span() -> None:
    def another(view: ClusterView) -> Injection:
        node = NODES[view.now // (3 * SECOND)]
        return Injection((Crash(node),), (Restart(node),), (node,))

    entry = World(("crash", Says(another, at="1s", every="3s", lasts="500ms"))).run().injector.entries["crash"]
    assert [[node] for node in NODES] == entry.targets and len(entry.spans) == 3
    assert "sides" not in entry.plain() and entry.plain()["targets"] == [["n1"], ["n2"], ["n3"]]


def test_the_ledger_knows_the_sides_of_a_cut_network_and_who_joined_them() -> None:
    def apart(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        return tuple(link for a in one for b in other for link in ((a, b), (b, a)))

    def cuts(links: tuple[tuple[str, str], ...]) -> ImpairLinks:
        return ImpairLinks(7, links, Impairment(cut=True))

    def joins(node: str, rng: random.Random) -> Injection:
        return Injection((cuts(apart((node,), ("n2", "n3"))),))

    halves = Injection(
        (cuts(apart(("n1", "c1"), ("n2", "n3"))),), (RestoreLinks(7),), ("n1",), on_join=joins
    )  # fmt: skip
    one_way = Injection((cuts((("n1", "n2"), ("n1", "n3"))),), (RestoreLinks(7),), ("n1",))
    loss = Injection((ImpairLinks(8, (("n1", "n2"),), Impairment(loss=0.5)),), (RestoreLinks(8),), ("n1", "n2"))
    boot = Injection((Restart("n4"),), (), ("n4",))
    entries = World(
        ("halves", Says(lambda view: halves)), ("boot", Says(lambda view: boot, at="1500ms")),
        ("one_way", Says(lambda view: one_way, at="4s")), ("loss", Says(lambda view: loss, at="6s")),
    ).run().injector.entries  # fmt: skip

    assert entries["halves"].sides == [[["n2", "n3"], ["n1", "n4", "c1"]]]
    assert entries["halves"].targets == [["n1", "n4"]]
    assert entries["one_way"].sides == [[["n1"], ["n2", "n3"]]]
    assert entries["loss"].sides == [[]] and "sides" not in entries["loss"].plain()
