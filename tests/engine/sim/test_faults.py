"""What each fault does to a simulated Raft, as its trace shows it; and that it is over when it is over."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from framework.checking.verdict import Verdict
from framework.config.compose import compose
from framework.config.resolve import Composed
from framework.core.storage import MemoryStorage, StorageFailure
from framework.core.time import MILLISECOND
from framework.faults.disk_faults import FaultyStorage
from framework.registry.registry import Registry, load
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult
from framework.trace.reader import open_run

RAFT = (
    "experiment=raft_5nodes", "engine=sim", "duration=1s", "quiet=300ms", "clients=4", "workload.loop=open",
    "workload.rate=300", "workload.timeout=2s",
)  # fmt: skip
START, END = 350 * MILLISECOND, 650 * MILLISECOND


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


class Taken:
    """A run that was taken: its result and its events."""

    def __init__(self, folder: Path, composed: Composed) -> None:
        plan = Plan(
            experiment=replace(composed.experiment, run_dir=folder), config=composed.config, engine="sim",
            checkers=composed.checkers, models=composed.models,
        )  # fmt: skip
        self.folder = folder
        self.result: RunResult = execute(plan, engine_named("sim"), lambda now, tally: None)
        self.rows: list[dict[str, Any]] = open_run(folder).events.to_pylist()

    def events(self, kind: str, start: int = START, end: int = END, **wanted: str) -> list[dict[str, Any]]:
        """Events after `start` and before `end`."""
        return [
            row
            for row in self.rows
            if row["kind"] == kind
            and start < row["time"] < end
            and all(row[column] == value for column, value in wanted.items())
        ]

    @property
    def entry(self) -> dict[str, Any]:
        (entry,) = self.result.ledger
        return entry


@pytest.fixture
def take(registry: Registry, tmp_path: Path) -> Any:
    """Takes a run with one fault from 350 ms to 650 ms of it, and expects it to be valid."""

    def taken(fault: str, *settings: str, verdict: Verdict = Verdict.VALID, overrides: tuple[str, ...] = ()) -> Taken:
        times = ("at=350ms", "for=300ms", "every=0")
        written = [f"faults.{fault}.{setting}" for setting in (*times, *settings)]
        composed = compose([*RAFT, f"faults={fault}", *written, *overrides], registry=registry)
        run = Taken(tmp_path / f"run-{len(list(tmp_path.iterdir()))}", composed)
        assert run.result.verdict is verdict, run.result.reasons
        return run

    return taken


def leader(run: Taken, at: int = START) -> str:
    return str(
        [row for row in run.rows if row["kind"] == "note" and row["message"] == "elected" and row["time"] < at][-1][
            "node"
        ]
    )


def peers(node: str) -> list[str]:
    return [f"n{number}" for number in range(1, 6) if f"n{number}" != node]


# Nodes.


def test_a_crashed_leader_is_silent_until_it_restarts_and_another_takes_over(take: Any) -> None:
    run = take("crash", "target=leader")
    (struck,) = run.entry["against"]
    assert run.entry["roles"] == {"leader": 1}
    assert not run.events("send", node=struck) and not run.events("deliver", node=struck)
    assert run.events("drop", peer=struck)
    (restart,) = [row for row in run.rows if row["kind"] == "restart"]
    assert restart["time"] == END and run.events("send", END, 10 * END, node=struck)
    assert run.result.sometimes["the leader changed"] >= 1


def test_a_paused_node_does_nothing_and_then_catches_up_with_all_that_waited(take: Any) -> None:
    run = take("pause", "target=n2")
    for kind in ("deliver", "timer", "send", "commit"):
        assert not run.events(kind, node="n2"), kind
    assert not run.events("drop")
    waited = [row for row in run.rows if row["kind"] == "deliver" and row["node"] == "n2" and row["time"] == END]
    assert len(waited) >= len(run.events("send", peer="n2")) - 3 > 5


# Links.


def cut_and_through(run: Taken, sender: str, receiver: str) -> tuple[int, int]:
    """How many messages were lost and how many arrived in one direction."""
    lost = run.events("drop", node=sender, peer=receiver)
    return len(lost), len(run.events("deliver", START + MILLISECOND, END, node=receiver, peer=sender))


@pytest.mark.parametrize("seed", range(4))
def test_one_way_cuts_what_goes_in_one_direction_and_nothing_else(take: Any, seed: int) -> None:
    run = take("partition", "kind=one_way", "target=follower", "clients=all", overrides=(f"seed={seed}",))
    first = leader(run)
    assert set(run.entry["against"]) == set(peers(first))
    follower, heard = peers(first)[0], "is not heard" in run.entry["details"][0]
    cut, through = ((follower, first), (first, follower))[:: 1 if heard else -1]
    assert cut_and_through(run, *cut)[1] == 0 and cut_and_through(run, *through)[0] == 0
    assert cut_and_through(run, *cut)[0] > 0
    assert run.entry["touched"] == run.entry["passed"] > 0


def test_an_isolated_leader_hears_nobody_and_another_is_elected(take: Any) -> None:
    run = take("partition", "kind=isolate", "target=leader")
    (alone,) = run.entry["against"]
    assert all(cut_and_through(run, alone, peer)[1] == 0 for peer in peers(alone))
    assert [row["node"] for row in run.events("note", message="elected") if row["node"] != alone]
    assert {row["payload"] for row in run.events("drop")} == {b"cut"}


def test_a_delay_on_one_link_is_there_in_its_one_direction_alone(take: Any) -> None:
    run = take("delay", "links=n1:n2", "by=40ms")
    by_seq = {row["seq"]: row for row in run.rows}

    def took(sender: str, receiver: str) -> set[int]:
        arrivals = run.events("deliver", START + 50 * MILLISECOND, END, node=receiver, peer=sender)
        return {row["time"] - by_seq[row["cause"]]["time"] for row in arrivals}

    assert took("n2", "n1") == {MILLISECOND // 2}
    assert took("n1", "n2") <= {40 * MILLISECOND + MILLISECOND // 2} and took("n1", "n2")


def test_copies_are_counted_and_each_is_a_delivery_of_the_same_send(take: Any) -> None:
    run = take("duplicate", "probability=0.5")
    copies = sum(run.result.duplicated.values())
    assert copies == run.entry["touched"] > 100
    causes = [row["cause"] for row in run.rows if row["kind"] == "deliver"]
    assert len(causes) - len(set(causes)) in range(copies - 20, copies + 1)


def test_losses_are_counted_and_shown_beside_what_was_expected(take: Any) -> None:
    run = take("loss", "probability=0.3")
    assert len(run.events("drop")) == run.entry["touched"] > 10
    assert 0.5 < run.entry["touched"] / run.entry["expected"] < 1.5


def test_later_messages_overtake_earlier_ones_while_reordering_lasts(take: Any) -> None:
    run = take("reorder", "probability=0.5", "spread=10ms")

    def overtakes(start: int, end: int) -> bool:
        causes: dict[tuple[str, str], list[int]] = {}
        for row in run.events("deliver", start, end):
            causes.setdefault((row["peer"], row["node"]), []).append(row["cause"])
        return any(sent != sorted(sent) for sent in causes.values())

    assert overtakes(START, END)
    assert not overtakes(0, START) and not overtakes(END + 20 * MILLISECOND, 10 * END)


# Clocks.


def test_timers_follow_a_clock_that_runs_too_fast(take: Any) -> None:
    run = take("clock", "target=leader", "drift_ppm=500000", "step=0", "direction=forward")
    (fast,) = run.entry["against"]

    def gap(start: int, end: int) -> float:
        beats = [row["time"] for row in run.events("timer", start, end, node=fast, message="heartbeat")]
        return float(beats[-1] - beats[0]) / (len(beats) - 1) / MILLISECOND

    assert round(gap(0, START)) == 50 and 33 < gap(START + 50 * MILLISECOND, END) < 34
    assert round(gap(END + 50 * MILLISECOND, 3 * END)) == 50


# Disks.


def test_a_slow_disk_makes_commits_late_and_then_no_longer(take: Any) -> None:
    run = take("disk", "target=n2", "latency=30ms")
    commits = [row["time"] for row in run.events("commit", START, END, node="n2")]
    assert 3 <= len(commits) <= 10 and run.entry["touched"] in range(len(commits), len(commits) + 2)
    assert len(run.events("commit", END + 50 * MILLISECOND, 10 * END, node="n2")) > 20


def test_a_failed_fsync_crashes_the_node_once_and_its_batch_is_not_tried_again(take: Any) -> None:
    run = take("disk", "target=n2", "trouble=failed_fsync")
    (crash,) = [row for row in run.rows if row["kind"] == "crash"]
    assert (crash["node"], crash["payload"][:12]) == ("n2", b"fsync failed")
    assert not run.events("commit", node="n2") and run.entry["touched"] == 1
    assert run.events("commit", END, 10 * END, node="n2")


def test_a_disk_that_fails_by_itself_after_a_fault_was_done_with_it_is_no_faults_doing(
    take: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[FaultyStorage] = []
    commit = FaultyStorage.commit

    def troubled(storage: FaultyStorage, changes: Any) -> None:
        failed.append(storage)
        commit(storage, changes)

    def broken(storage: MemoryStorage, changes: Any) -> None:
        if failed and failed[0].storage is storage:
            raise StorageFailure("disk I/O error")
        sound(storage, changes)

    sound = MemoryStorage.commit
    monkeypatch.setattr(FaultyStorage, "commit", troubled)
    monkeypatch.setattr(MemoryStorage, "commit", broken)
    run = take("disk", "target=n2", "trouble=failed_fsync", verdict=Verdict.UNKNOWN)
    assert len(failed) == 1, "the fault is over once it has struck"
    assert run.entry["touched"] == 1
    assert run.result.reasons == ("n2's storage failed without a fault's doing: disk I/O error",)


def test_a_full_disk_crashes_the_node_until_there_is_room_again(take: Any) -> None:
    run = take("disk", "target=n2", "trouble=full")
    (crash,) = run.result.crashes
    assert (crash.node, crash.why) == ("n2", "no space left on the disk")
    assert run.events("commit", END, 10 * END, node="n2")


def test_a_damaged_record_refuses_the_restart_and_the_others_go_on(take: Any) -> None:
    run = take("disk", "target=random_minority", "trouble=damage")
    lost = set(run.entry["against"])
    assert [crash.why for crash in run.result.crashes] == ["fault"] * len(lost) + [
        "storage damaged: an acknowledged record does not fit its checksum"
    ] * len(lost)
    assert not [row for row in run.events("start", START, 10 * END) if row["node"] in lost]
    assert run.entry["touched"] == len(lost)


def test_a_commit_in_flight_at_a_crash_is_kept_or_lost_or_torn_and_the_ledger_says_which(take: Any) -> None:
    fates = set()
    for seed in range(10):
        run = take("crash", "target=leader", overrides=("engine.disk_latency=20ms", f"seed={seed}"))
        (detail,) = run.entry["details"]
        fates.add(detail.partition("'s commit in flight was ")[2])
    assert {"kept", "lost", "torn; the torn commit was cut off at its restart"} <= fates
    assert len(fates - {""}) == 3


def test_a_torn_commit_is_cut_off_at_one_restart_and_not_at_the_next(registry: Registry, tmp_path: Path) -> None:
    steps = (
        "{at: 350ms, fault: crash, target: n2, for: 100ms}, "
        "{at: 550ms, fault: disk, trouble: failed_fsync, target: n2, for: 100ms}"
    )
    overrides = ("faults=schedule", f"faults.schedule.steps=[{steps}]", "engine.disk_latency=20ms")
    told = []
    for seed in range(6):
        composed = compose([*RAFT, *overrides, f"seed={seed}"], registry=registry)
        run = Taken(tmp_path / f"run-{seed}", composed)
        assert [row["node"] for row in run.rows if row["kind"] == "restart"] == ["n2", "n2"]
        crash, _ = run.result.ledger
        told += [detail for detail in crash["details"] if "torn" in detail]
    assert set(told) == {"350ms: n2; n2's commit in flight was torn; the torn commit was cut off at its restart"}


# What does not happen.


@pytest.mark.parametrize(
    ("fault", "settings", "reason"),
    [
        ("crash", ("target=coordinator",), "fault crash never fired: no node was ever 'coordinator'"),
        ("partition", ("kind=isolate", "target=zorp"), "fault partition never fired: no node was ever 'zorp'"),
        ("loss", ("links=zorp",), "fault loss never fired: no node was ever 'zorp'"),
    ],
)
def test_a_fault_that_cannot_fire_leaves_the_run_unknown(
    take: Any, fault: str, settings: tuple[str, ...], reason: str
) -> None:
    run = take(fault, *settings, verdict=Verdict.UNKNOWN)
    assert run.result.reasons == (f"{reason} when it was due; roles seen: follower, leader",)


def test_a_protocol_that_does_not_come_back_after_the_heal_is_invalid(take: Any) -> None:
    stubborn = (
        "protocol.election_timeout_min=3s",
        "protocol.election_timeout_max=4s",
        "workload.timeout=500ms",
        "duration=6s",
    )
    run = take("crash", "target=leader", "at=5s", "for=100ms", verdict=Verdict.INVALID, overrides=stubborn)
    (reason,) = run.result.reasons
    healed, states, waiting = reason.split("; ")
    assert healed == "no progress within 300ms after everything was healed"
    assert states == "n1 n2 n3 n4 n5 follower (term 1)"
    (struck,) = run.entry["against"]
    assert waiting.startswith("open: c") and f" at {struck}" in waiting


def test_a_schedule_tells_each_of_its_steps(registry: Registry, tmp_path: Path) -> None:
    steps = "[{at: 300ms,fault: crash,target: leader,for: 100ms,then: [{at: 50ms,fault: pause,target: n3,for: 100ms}]}]"
    composed = compose([*RAFT, "faults=schedule", f"faults.schedule.steps={steps}"], registry=registry)
    run = Taken(tmp_path / "run", composed)
    assert run.result.verdict is Verdict.VALID
    assert [entry["fault"] for entry in run.result.ledger] == ["schedule/crash", "schedule/pause"]
    faults = [(row["time"] // MILLISECOND, row["message"]) for row in run.rows if row["kind"] == "fault"]
    assert faults == [(300, "crash"), (400, "restart"), (450, "pause"), (550, "resume")]
    assert json.loads(next(row for row in run.rows if row["message"] == "pause")["payload"]) == {"node": "n3"}


def test_chaos_is_the_same_run_for_the_same_seed(registry: Registry, tmp_path: Path) -> None:
    digests = []
    for number, seed in enumerate((3, 3, 4)):
        composed = compose(["experiment=raft_chaos", f"seed={seed}"], registry=registry)
        digests.append(Taken(tmp_path / str(number), composed).result.digest)
    assert digests[0] == digests[1] != digests[2]


def test_the_schedule_that_comes_with_synod_happens_as_written(registry: Registry, tmp_path: Path) -> None:
    run = Taken(
        tmp_path / "run",
        compose(["experiment=raft_schedule", "engine=sim", "workload.think_time=50ms"], registry=registry),
    )
    assert run.result.verdict is Verdict.VALID, run.result.reasons
    fired = {entry["fault"]: entry["fired"] for entry in run.result.ledger}
    assert fired == {"schedule/partition": 1, "schedule/crash": 1, "schedule/pause": 1, "schedule/delay": 1}


# Clients.

LOOPS = pytest.mark.parametrize(
    "loop", [("workload.loop=closed", "workload.think_time=3ms"), ()], ids=["closed", "open"]
)


@LOOPS
def test_a_crashed_client_starts_nothing_and_comes_back_as_a_new_process(take: Any, loop: tuple[str, ...]) -> None:
    run = take("crash", "target=client:c1", overrides=loop)
    assert run.entry["against"] == {"c1": 1}
    assert run.result.operations["fail"] == 0, "what falls due goes to others, and not to a client that is down"
    invoked = [row for row in run.rows if row["kind"] == "invoke" and row["node"] == "c1"]
    assert not [row for row in invoked if START < row["time"] < END]
    history = open_run(run.folder).history.to_pylist()
    before, after = (
        {row["process"] for row in history if row["client"] == "c1" and (row["invoked"] >= END) is late}
        for late in (False, True)
    )
    assert before and after and not before & after


@LOOPS
def test_a_paused_client_starts_what_fell_due_once_it_goes_on(take: Any, loop: tuple[str, ...]) -> None:
    run = take("pause", "target=client:c1", overrides=loop)
    invoked = [row["time"] for row in run.rows if row["kind"] == "invoke" and row["node"] == "c1"]
    assert not [time for time in invoked if START < time < END]
    assert min(time for time in invoked if time >= END) < END + 50 * MILLISECOND
    assert run.result.operations["fail"] == run.result.operations["unknown"] == 0


def test_what_falls_due_at_a_client_that_is_paused_to_the_end_is_never_begun(take: Any) -> None:
    run = take("pause", "target=client:c1", overrides=("quiet=0", "faults.pause.for=0", "workload.timeout=100ms"))
    invoked = [row["time"] for row in run.rows if row["kind"] == "invoke" and row["node"] == "c1"]
    assert max(invoked) <= START
    assert run.result.details["never_started"] == 1
