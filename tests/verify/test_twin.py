"""The checker agrees with a twin that tries every order."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.verify.linearizability import by_key, check_linearizable
from framework.verify.models import Counter, KeyValue, Model, Register
from framework.verify.search import Search
from framework.verify.timeline import lay_out
from framework.verify.verdict import Verdict
from framework.verify.zones import decide_zones

from .histories import drawn, explained

EXAMPLES = 400
relaxed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


def agrees(calls: list, model: Model) -> None:
    result = check_linearizable(calls, model)
    if not any(call.known for call in calls):
        assert result.verdict is Verdict.UNKNOWN
        return
    assert result.verdict is (Verdict.VALID if explained(calls, model) else Verdict.INVALID)
    assert bool(result.story) == (result.verdict is Verdict.INVALID)


@relaxed
@given(drawn(Register(), 7))
def test_a_register_agrees(calls: list) -> None:
    agrees(calls, Register())


@relaxed
@given(drawn(KeyValue(), 7))
def test_a_store_of_one_key_agrees(calls: list) -> None:
    agrees(calls, KeyValue())


@relaxed
@given(drawn(KeyValue(), 6, keys=(None, "x", "y")))
def test_keys_checked_one_by_one_agree_with_all_keys_in_one_order(calls: list) -> None:
    agrees(calls, KeyValue())


@relaxed
@given(drawn(Counter(), 7))
def test_a_counter_agrees(calls: list) -> None:
    agrees(calls, Counter())
