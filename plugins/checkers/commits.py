"""Checks what clients saw of their transactions: the outcomes are possible, and not all of them are aborts."""

from __future__ import annotations

from framework import CheckerSpec, CheckResult, Config, FinishedRun, Verdict, hookimpl

OUTCOMES = ("committed", "aborted")


def check_commits(run: FinishedRun, config: Config | None) -> CheckResult:
    """Checks that a transaction was committed only if no participant was to vote no. That all nodes decide alike is for
    the protocol's invariants to check."""
    committed = aborted = possible = 0
    odd: list[str] = []
    wrong: list[str] = []
    times: list[int | None] = []
    for call in run.history:
        if call.function != "commit":
            odd.append(f"operation {call.operation} is {call.function}, not commit")
            continue
        against = (
            [node for node, vote in call.argument if vote == "no"] if isinstance(call.argument, tuple | list) else []
        )
        possible += not against
        if not call.known or call.outcome != "ok":
            continue
        who = f"{call.client}'s transaction {call.operation}"
        if call.result not in OUTCOMES:
            odd.append(f"{who} ended as {call.result!r}")
        elif call.result == "aborted":
            aborted += 1
        else:
            committed += 1
            if against:
                wrong.append(f"{who} is committed, though {', '.join(against)} voted no")
                times.append(call.completed)
    if wrong:
        return _result(Verdict.INVALID, wrong[0], committed + aborted, tuple(wrong), times[0])
    if odd:
        return _result(Verdict.UNKNOWN, odd[0], committed + aborted)
    if possible and not committed:
        return _result(Verdict.UNKNOWN, f"none of {possible:,} transactions without a no was committed", aborted)
    if not committed and not aborted:
        return _result(Verdict.UNKNOWN, "no transaction was decided", 0)
    return _result(
        Verdict.VALID, f"{committed:,} committed and {aborted:,} aborted, as votes allow", committed + aborted
    )


def _result(
    verdict: Verdict, reason: str, operations: int, story: tuple[str, ...] = (), time: int | None = None
) -> CheckResult:
    return CheckResult(
        name="commits", verdict=verdict, reason=reason, story=story[:20], operations=operations, steps=operations,
        time=time,
    )  # fmt: skip


@hookimpl
def register_checkers() -> list[CheckerSpec]:
    return [
        CheckerSpec(
            name="commits", check=check_commits, summary="Transactions are committed only if no participant votes no."
        )
    ]
