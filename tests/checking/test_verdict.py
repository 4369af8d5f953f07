import json

import msgspec

from framework.checking.verdict import NO_CHECKER, CheckResult, Verdict, conclude, worst


def test_invalid_outweighs_unknown_which_outweighs_valid() -> None:
    assert worst([Verdict.VALID, Verdict.UNKNOWN, Verdict.INVALID, Verdict.VALID]) is Verdict.INVALID
    assert worst([Verdict.VALID, Verdict.UNKNOWN]) is Verdict.UNKNOWN
    assert worst([Verdict.VALID, Verdict.VALID]) is Verdict.VALID


def test_nothing_checked_is_unknown_and_says_so() -> None:
    assert worst([]) is Verdict.UNKNOWN
    assert conclude([]) == (Verdict.UNKNOWN, NO_CHECKER)


def test_a_run_gives_the_reason_of_its_worst_check() -> None:
    fine = CheckResult(name="a", verdict=Verdict.VALID, reason="all explained")
    hard = CheckResult(name="b", verdict=Verdict.UNKNOWN, reason="budget spent")
    assert conclude([fine, hard]) == (Verdict.UNKNOWN, "b: budget spent")


def test_exit_codes() -> None:
    assert [verdict.exit_code for verdict in (Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN)] == [0, 1, 2]


def test_a_result_is_plain_json() -> None:
    result = CheckResult(name="linearizability", verdict=Verdict.INVALID, reason="why", story=("one", "two"), key="x")
    plain = json.loads(json.dumps(msgspec.to_builtins(result)))
    assert plain["verdict"] == "invalid" and plain["story"] == ["one", "two"] and plain["key"] == "x"
