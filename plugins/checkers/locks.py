"""What clients and the store saw of a lock: who held it at the same time, and whose accesses to the store overlapped.

The rows are those of the workload `lock`. A *turn* is the time from a granted acquire to the release, of one process.
It also ends if the process ends: after an operation of unknown outcome, or by a crash.

| checker | property |
| --- | --- |
| `mutual_exclusion` | no two turns overlap in real time, unless both are shared: for locks without leases |
| `guarded_store` | no access of another turn comes between two accesses of a turn, unless both turns are shared: what the lock is for, whether or not a lease has ended |
| `fencing_tokens` | tokens rise from turn to turn (Kleppmann, *How to do distributed locking*, 2016) |
| `lock_progress` | once faults are over, every lock can be acquired; how long clients waited, and how many overtook them |
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Any

from framework import (
    ACQUIRES,
    MILLISECOND,
    RELEASE,
    Call,
    CheckerSpec,
    CheckResult,
    Config,
    Duration,
    FinishedRun,
    LedgerEntry,
    Verdict,
    format_duration,
    hookimpl,
)

READ, WRITE = "read", "write"
MAX_FAULTS = 6
"""Limit of the lines about faults in a story."""


@dataclass(eq=False, slots=True)
class Turn:
    """A granted lock: when its acquire was invoked and completed, and its release invoked (None: never). `ended`: when
    its process had certainly ended without a release (None: it did not, or nothing shows it)."""

    operation: int
    client: str
    key: str
    shared: bool
    token: Any
    invoked: int
    granted: int
    released: int | None = None
    ended: int | None = None

    def __str__(self) -> str:
        mode = " (shared)" if self.shared else ""
        token = "" if self.token is None else f", token {self.token}"
        until = "never released" if self.released is None else f"releases it at {_time(self.released)}"
        until += "" if self.ended is None else f", its process ends by {_time(self.ended)}"
        return f"{self.client} acquires {self.key}{mode} at {_time(self.granted)}{token}, {until}"


@dataclass(slots=True)
class Access:
    """An access that the store has executed: its place in the order of the key, and the values before and after it."""

    operation: int
    turn: Turn
    function: str
    position: int
    before: Any
    after: Any
    completed: int

    def __str__(self) -> str:
        wrote = f" and writes {self.after}" if self.function == WRITE else ""
        return f"access {self.position} to {self.turn.key}: {self.turn.client} finds {self.before}{wrote}, at {_time(self.completed)}"


@dataclass
class Seen:
    """The turns and the accesses of a history, and the values that writes of unknown outcome may have left."""

    turns: list[Turn]
    accesses: dict[str, list[Access]]
    doubtful: dict[Any, str]
    odd: str = ""
    """The first row that no lock and no store can have given; "": there is none."""


def seen(run: FinishedRun) -> Seen:
    """Reads the turns and accesses from a history."""
    turns: list[Turn] = []
    accesses: dict[str, list[Access]] = defaultdict(list)
    doubtful: dict[Any, str] = {}
    current: dict[tuple[str, int], Turn] = {}
    processes: dict[str, int] = {}
    odd = ""
    for call in sorted(run.history, key=lambda call: (call.invoked, call.operation)):
        process, key = (call.client, call.process), str(call.key)
        if call.function == WRITE and call.outcome == "unknown" and isinstance(call.argument, tuple | list):
            doubtful[call.argument[1]] = call.client
        if call.function == RELEASE and process in current:
            turn = current.pop(process)
            turn.released = call.invoked
        _end_turns(call, processes, current)
        if not call.known or call.completed is None:
            continue
        if call.function in ACQUIRES:
            shared = call.function.endswith("shared")
            turn = Turn(call.operation, call.client, key, shared, call.result, call.invoked, call.completed)
            current[process] = turn
            turns.append(turn)
        elif call.function in (READ, WRITE):
            turn_of = current.get(process)
            access = None if turn_of is None else _access(call, turn_of)
            if access is not None:
                accesses[key].append(access)
            else:
                odd = odd or f"operation {call.operation}, {call.function} by {call.client}, ended with {call.result!r}"
    for of_key in accesses.values():
        of_key.sort(key=lambda access: access.position)
    return Seen(turns, accesses, doubtful, odd)


def _end_turns(call: Call, processes: dict[str, int], current: dict[tuple[str, int], Turn]) -> None:
    """Ends the turn of a process that `call` shows to have ended: its client has another one, or will have."""
    before = (call.client, processes.get(call.client, call.process))
    processes[call.client] = call.process
    if before[1] != call.process and before in current:
        current.pop(before).ended = call.invoked
    if call.outcome == "unknown" and call.completed is not None and (call.client, call.process) in current:
        current.pop((call.client, call.process)).ended = call.completed


def _access(call: Call, turn: Turn) -> Access | None:
    if not isinstance(call.result, tuple | list) or len(call.result) != 2 or type(call.result[1]) is not int:
        return None
    before, position = call.result
    after = before
    if call.function == WRITE:
        if not isinstance(call.argument, tuple | list) or len(call.argument) != 2:
            return None
        after = call.argument[1]
    assert call.completed is not None
    return Access(call.operation, turn, call.function, position, before, after, call.completed)


# Mutual exclusion in real time.


def check_mutual_exclusion(run: FinishedRun, config: Config | None) -> CheckResult:
    """Invalid if two turns of a lock certainly overlap in time, and not both are shared."""
    turns = seen(run).turns
    by_key: dict[str, list[Turn]] = defaultdict(list)
    for turn in turns:
        by_key[turn.key].append(turn)
    for key in sorted(by_key):
        for first, second in _overlapping(by_key[key]):
            reason = f"{first.client} and {second.client} hold {key} at the same time"
            story = str(first), str(second)
            return _result("mutual_exclusion", Verdict.INVALID, reason, len(turns), story, key, time=second.granted)
    if not turns:
        return _result("mutual_exclusion", Verdict.UNKNOWN, "no client has acquired a lock", 0)
    reason = f"{len(turns):,} turns, no two of a lock at the same time"
    return _result("mutual_exclusion", Verdict.VALID, reason, len(turns))


def _overlapping(turns: Iterable[Turn]) -> Iterator[tuple[Turn, Turn]]:
    """Yields pairs that overlap in more than a moment. The turns before are represented by the two that last longest:
    the exclusive one, and the shared one."""
    last: dict[bool, Turn] = {}
    for turn in sorted(turns, key=lambda turn: turn.granted):
        for shared, other in last.items():
            if not (shared and turn.shared) and turn.granted < _end(other) and turn.granted < _end(turn):
                yield other, turn
        longest = last.get(turn.shared)
        if longest is None or _end(turn) > _end(longest):
            last[turn.shared] = turn


def _end(turn: Turn) -> float:
    end = turn.ended if turn.released is None else turn.released
    return float("inf") if end is None else end


# What the store saw.


def check_guarded_store(run: FinishedRun, config: Config | None) -> CheckResult:
    """Invalid if an access of another turn came between two accesses of a turn, and not both turns are shared. If it
    was a write, an update was lost, or read half-way."""
    history = seen(run)
    total = sum(map(len, history.accesses.values()))
    if history.odd:
        return _result("guarded_store", Verdict.UNKNOWN, history.odd, total)
    for key in sorted(history.accesses):
        accesses = history.accesses[key]
        twice = [two for one, two in pairwise(accesses) if one.position == two.position]
        if twice:
            reason = f"two accesses to {key} have the position {twice[0].position}"
            return _result("guarded_store", Verdict.UNKNOWN, reason, total)
        found = _interference(accesses, history.doubtful)
        if found is not None:
            reason, events, times = found
            events += _faults(run.ledger, *times)
            story = tuple(line for _, line in sorted(events, key=itemgetter(0)))
            return _result("guarded_store", Verdict.INVALID, f"{key}: {reason}", total, story, key, time=times[1])
    if not total:
        return _result("guarded_store", Verdict.UNKNOWN, "no access to the store has succeeded", 0)
    reason = f"{total:,} accesses, those of each turn undisturbed"
    return _result("guarded_store", Verdict.VALID, reason, total)


def _interference(
    accesses: list[Access], doubtful: Mapping[Any, str]
) -> tuple[str, list[tuple[int, str]], tuple[int, int]] | None:
    """Returns the first interference with a turn, its story as lines with their times, and the times of the turn's
    grant and of the access that was interfered with. `accesses` are those of one key, in order."""
    latest: dict[int, int] = {}  # turn -> index of its last access
    for index, access in enumerate(accesses):
        start = latest.get(access.turn.operation)
        latest[access.turn.operation] = index
        if start is None:
            continue
        first, between = accesses[start], accesses[start + 1 : index]
        strange = [other for other in between if not (other.turn.shared and access.turn.shared)]
        writes = [other for other in strange if other.function == WRITE]
        if not strange and access.before == first.after:
            continue
        client = access.turn.client
        if writes or not strange:
            writer = writes[0].turn.client if writes else doubtful.get(access.before, "a client that got no answer")
            reason = (
                f"lost update: {client} writes over what {writer} wrote after {client}'s last access"
                if access.function == WRITE
                else f"{writer} writes between two accesses of {client}, which holds the lock"
            )
        else:
            reason = f"{strange[0].turn.client} reads between two accesses of {client}, which holds the lock"
        return reason, list(_accesses_of_both(first, strange, access)), (first.turn.granted, access.completed)
    return None


def _accesses_of_both(first: Access, strange: list[Access], second: Access) -> Iterator[tuple[int, str]]:
    """Yields the turn that was interfered with, the one that interfered first, and their accesses, with their times."""
    yield first.turn.granted, str(first.turn)
    yield first.completed, str(first)
    turn = strange[0].turn if strange else None
    shown = [other for other in strange if other.turn is turn]
    if turn is not None:
        yield turn.granted, str(turn)
    yield from ((other.completed, str(other)) for other in shown)
    if len(strange) > len(shown):
        yield shown[-1].completed, f"… and {len(strange) - len(shown)} more accesses of others"
    yield second.completed, str(second)


def _faults(ledger: Iterable[LedgerEntry], since: int, until: int) -> list[tuple[int, str]]:
    """Returns a line for each of the first faults that were in force between two times, with the time it began."""
    lines = [
        (span[0], f"fault {entry.fault} {_span(*span)}: {detail.partition(': ')[2]}".removesuffix(": "))
        for entry in ledger
        for span, detail in zip(entry.spans, entry.details, strict=False)
        if span[0] <= until and (span[1] < 0 or span[1] >= since)
    ]
    return sorted(lines)[:MAX_FAULTS]


def _span(since: int, until: int) -> str:
    return f"from {_time(since)} on" if until < 0 else f"from {_time(since)} to {_time(until)}"


# Tokens.


def check_fencing_tokens(run: FinishedRun, config: Config | None) -> CheckResult:
    """Invalid if a turn has a token that is not above those of turns granted before it was asked for, or the same as
    another one's; shared turns may have the same."""
    turns = seen(run).turns
    name = "fencing_tokens"
    strange = next((turn for turn in turns if type(turn.token) is not int), None)
    if strange is not None:
        return _result(name, Verdict.UNKNOWN, f"{strange.client}'s grant of {strange.key} has no token", len(turns))
    if not turns:
        return _result(name, Verdict.UNKNOWN, "no client has acquired a lock", 0)
    by_key: dict[str, list[Turn]] = defaultdict(list)
    for turn in turns:
        by_key[turn.key].append(turn)
    for key in sorted(by_key):
        pair = _same_token(by_key[key]) or _falling_token(by_key[key])
        if pair is not None:
            first, second = pair
            what = "the same token as" if first.token == second.token else "a lower token than"
            reason = f"{second.client}'s turn with {key} has {what} that of {first.client} before it"
            story = str(first), str(second)
            return _result(name, Verdict.INVALID, reason, len(turns), story, key, time=second.granted)
    return _result(name, Verdict.VALID, f"{len(turns):,} tokens rise from turn to turn", len(turns))


def _same_token(turns: Iterable[Turn]) -> tuple[Turn, Turn] | None:
    holders: dict[int, Turn] = {}
    for turn in sorted(turns, key=lambda turn: turn.granted):
        other = holders.setdefault(turn.token, turn)
        if other is not turn and not (other.shared and turn.shared):
            return other, turn
    return None


def _falling_token(turns: list[Turn]) -> tuple[Turn, Turn] | None:
    """Returns a turn and a later one with a lower token: the later one was asked for after the first was granted."""
    granted = sorted(turns, key=lambda turn: turn.granted)
    highest: Turn | None = None
    count = 0
    for turn in sorted(turns, key=lambda turn: turn.invoked):
        while count < len(granted) and granted[count].granted < turn.invoked:
            if highest is None or granted[count].token > highest.token:
                highest = granted[count]
            count += 1
        if highest is not None and turn.token < highest.token:
            return highest, turn
    return None


# Progress.


class ProgressConfig(Config):
    """When a lock that nobody acquires counts as stuck."""

    stuck_after: Duration = Duration("2s")
    """Time beyond the lock's lease that clients must have waited in vain in the final phase; waiting less is
    unknown."""


def check_lock_progress(run: FinishedRun, config: ProgressConfig) -> CheckResult:
    """Invalid if clients waited in vain for a lock that nobody acquired any more, once faults were over. Measures waits
    and overtaking: the grants of a lock to others between the invocation of an acquire and its grant."""
    name, history = "lock_progress", seen(run)
    turns = history.turns
    measures = _waits(turns)
    if not turns:
        return _result(name, Verdict.UNKNOWN, "no client has acquired a lock", 0)
    final = [] if run.final_at is None else [call for call in run.history if call.invoked >= run.final_at]
    asked = [call for call in final if call.function in ACQUIRES]
    tried = [call for call in asked if call.outcome != "fail"]
    granted = {str(call.key) for call in tried if call.known}
    limit = config.stuck_after + longest_lease(run.config)
    used: dict[str, int] = {}
    for turn in turns:
        used[turn.key] = max(used.get(turn.key, 0), turn.granted, turn.released or 0)
    for key, accesses in history.accesses.items():  # a long turn may not have ended
        used[key] = max(used[key], *(access.completed for access in accesses))
    stuck: dict[str, int] = {}
    for call in tried:
        key = str(call.key)
        if not call.known:  # it waited in vain since the lock was used last
            since = max(call.invoked, used.get(key, 0))
            waited = 0 if call.completed is None else call.completed - since
            if key not in granted or waited >= limit:
                stuck[key] = max(waited, stuck.get(key, 0))
    for key, waited in sorted(stuck.items()):
        reason = f"nobody could acquire {key} once faults were over, in {format_duration(waited // MILLISECOND * MILLISECOND)}"
        is_long = waited >= limit
        verdict = Verdict.INVALID if is_long else Verdict.UNKNOWN
        last = [turn for turn in turns if turn.key == key][-1:]
        since = last[0].granted if last else 0
        faults = [line for _, line in _faults(run.ledger, since, run.final_at or since)]
        story = (*map(str, last), *_vain(tried, key), *faults) if is_long else ()
        return _result(name, verdict, reason, len(turns), story, key, measures)
    if not tried:
        reason = f"{len(turns):,} grants; nobody tried once faults were over"
        return _result(name, Verdict.UNKNOWN, reason, len(turns), measures=measures)
    refused = sorted({str(call.key) for call in asked} - {str(call.key) for call in tried})
    if refused:
        reason = f"every attempt to acquire {refused[0]} failed once faults were over"
        return _result(name, Verdict.UNKNOWN, reason, len(turns), key=refused[0], measures=measures)
    shown = measures["overtaken"]
    reason = (
        f"{len(turns):,} grants, after {_digits(measures['wait_ms']['p50'])} ms (p99 {_digits(measures['wait_ms']['p99'])});"
        f" overtaken by {shown['p50']} (p99 {shown['p99']}, at most {shown['max']})"
    )
    return _result(name, Verdict.VALID, reason, len(turns), measures=measures)


def _vain(tried: Iterable[Call], key: str) -> Iterator[str]:
    """Yields a line with the clients that waited for a lock in vain."""
    clients = sorted({call.client for call in tried if str(call.key) == key and not call.known})
    if clients:
        yield f"waiting for {key} in the end: {', '.join(clients)}"


def longest_lease(config: Mapping[str, Any]) -> int:
    """Returns the longest setting named `lease` of the protocol and its state machine, in nanoseconds."""
    found = [0]
    for group in ("protocol", "state_machine"):
        settings = config.get(group) or {}
        lease = settings.get("lease")
        if lease is not None:
            found.append(int(Duration(lease)))
    return max(found)


def _waits(turns: list[Turn]) -> dict[str, Any]:
    """Returns percentiles of the waits for a lock, and of the grants to others meanwhile."""
    waits = sorted(turn.granted - turn.invoked for turn in turns)
    overtaken: list[int] = []
    by_key: dict[str, list[Turn]] = defaultdict(list)
    for turn in turns:
        by_key[turn.key].append(turn)
    for of_key in by_key.values():
        grants = sorted(turn.granted for turn in of_key)
        for turn in of_key:
            overtaken.append(bisect_left(grants, turn.granted) - bisect_left(grants, turn.invoked))
    overtaken.sort()
    return {
        "wait_ms": {name: round(value / MILLISECOND, 3) for name, value in _percentiles(waits).items()},
        "overtaken": _percentiles(overtaken),
    }


def _percentiles(values: list[int]) -> dict[str, int]:
    """Returns percentiles of sorted values; 0 of none."""
    if not values:
        return {"p50": 0, "p99": 0, "max": 0}
    last = len(values) - 1
    return {"p50": values[last // 2], "p99": values[last * 99 // 100], "max": values[-1]}


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _time(at: int) -> str:
    return f"{at / MILLISECOND:,.3f} ms"


def _result(
    name: str,
    verdict: Verdict,
    reason: str,
    operations: int,
    story: tuple[str, ...] = (),
    key: str | None = None,
    measures: dict[str, Any] | None = None,
    time: int | None = None,
) -> CheckResult:
    return CheckResult(
        name=name, verdict=verdict, reason=reason, story=story, operations=operations, steps=operations, key=key, time=time,
        measures=measures or {},
    )  # fmt: skip


@hookimpl
def register_checkers() -> list[CheckerSpec]:
    return [
        CheckerSpec(
            name="mutual_exclusion", check=check_mutual_exclusion, summary="No two clients hold a lock at once."
        ),
        CheckerSpec(
            name="guarded_store",
            check=check_guarded_store,
            summary="Nobody interferes with the accesses of a lock's holder.",
        ),
        CheckerSpec(name="fencing_tokens", check=check_fencing_tokens, summary="Tokens rise from grant to grant."),
        CheckerSpec(
            name="lock_progress",
            check=check_lock_progress,
            config=ProgressConfig,
            summary="Locks can be acquired again; waits.",
        ),
    ]
