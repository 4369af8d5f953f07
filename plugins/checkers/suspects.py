"""Checks that the suspicions reported to clients are possible. How often they were right is not a matter of safety: an
unreliable failure detector may suspect anyone. In the end it must be right, which the protocol's `settled` checks."""

from __future__ import annotations

from framework import CheckerSpec, CheckResult, Config, FinishedRun, Verdict, hookimpl


def check_suspects(run: FinishedRun, config: Config | None) -> CheckResult:
    """Checks that each answer is that of a node, and that no node suspects itself, or one twice."""
    answers = suspicions = 0
    for call in run.history:
        if call.function != "suspects" or not call.known:
            continue
        answers += 1
        who = f"operation {call.operation} of {call.client}"
        if not isinstance(call.result, tuple | list) or len(call.result) != 2:
            return _result(Verdict.UNKNOWN, f"{who} ended with {call.result!r}", answers)
        node, suspects = call.result
        suspicions += len(suspects)
        if node in suspects:
            return _result(
                Verdict.INVALID, f"{node} suspects itself", answers, (f"{who}: {node} answers",), call.completed
            )
        if len(set(suspects)) < len(suspects):
            what = f"{node} suspects a node twice: {', '.join(suspects)}"
            return _result(Verdict.INVALID, what, answers, (f"{who}: {node} answers",), call.completed)
    if not answers:
        return _result(Verdict.UNKNOWN, "no node has answered", 0)
    return _result(Verdict.VALID, f"{answers:,} answers, with {suspicions:,} suspicions in all", answers)


def _result(
    verdict: Verdict, reason: str, operations: int, story: tuple[str, ...] = (), time: int | None = None
) -> CheckResult:
    return CheckResult(
        name="suspects", verdict=verdict, reason=reason, story=story, operations=operations, steps=operations, time=time
    )


@hookimpl
def register_checkers() -> list[CheckerSpec]:
    return [CheckerSpec(name="suspects", check=check_suspects, summary="No node suspects itself, or a node twice.")]
