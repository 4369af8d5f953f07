"""Every answer is what was said."""

from framework import CheckerSpec, CheckResult, Config, Verdict, hookimpl
from framework.verify.history import Call


def check_echo(calls: list[Call], model: str | None, config: Config | None) -> CheckResult:
    """Invalid at the first `echo` whose result is not its argument; unknown if none succeeded."""
    echoes = [call for call in calls if call.function == "echo" and call.known]
    for count, call in enumerate(echoes, start=1):
        if call.result != call.argument:
            story = (
                f"{call.client} said {call.argument!r} and heard {call.result!r} (operation {call.operation})"
            )
            return _result(Verdict.INVALID, "an answer is not what was said", count, (story,))
    if not echoes:
        return _result(Verdict.UNKNOWN, "no echo succeeded", 0)
    return _result(Verdict.VALID, "every answer is what was said", len(echoes))


def _result(verdict: Verdict, reason: str, operations: int, story: tuple[str, ...] = ()) -> CheckResult:
    return CheckResult(
        name="echo", verdict=verdict, reason=reason, story=story, operations=operations, steps=operations
    )


@hookimpl
def register_checkers() -> list[CheckerSpec]:
    return [CheckerSpec(name="echo", check=check_echo, summary="Every answer is what was said.")]
