"""Checks that every answer repeats the text that was sent."""

from framework import CheckerSpec, CheckResult, Config, FinishedRun, Verdict, hookimpl


def check_echo(run: FinishedRun, config: Config | None) -> CheckResult:
    """Returns invalid at the first `echo` whose result differs from its argument; unknown if none succeeded."""
    count = 0
    for call in run.history:
        if call.function != "echo" or not call.known:
            continue
        count += 1
        if call.result != call.argument:
            story = f"{call.client} said {call.argument!r} and heard {call.result!r} (operation {call.operation})"
            return _result(Verdict.INVALID, "an answer is not what was said", count, (story,), call.completed)
    if not count:
        return _result(Verdict.UNKNOWN, "no echo succeeded", 0)
    return _result(Verdict.VALID, "every answer is what was said", count)


def _result(
    verdict: Verdict, reason: str, operations: int, story: tuple[str, ...] = (), time: int | None = None
) -> CheckResult:
    return CheckResult(
        name="echo", verdict=verdict, reason=reason, story=story, operations=operations, steps=operations, time=time
    )


@hookimpl
def register_checkers() -> list[CheckerSpec]:
    return [CheckerSpec(name="echo", check=check_echo, summary="Every answer is what was said.")]
