"""The checker agrees with a twin that tries every order; the fast path and the search agree with each other."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.checking.history.calls import Call
from framework.checking.linearizability.bounds import Bounds
from framework.checking.linearizability.checker import check_linearizable, decide, decide_by_times, divide
from framework.checking.linearizability.counter_example import shortest_evidence
from framework.checking.linearizability.search import Search
from framework.checking.linearizability.timeline import lay_out
from framework.checking.models.catalog import built_in_models
from framework.checking.models.consensus import Consensus
from framework.checking.models.containers import Queue, Set, SetFull, Stack
from framework.checking.models.model import Model
from framework.checking.models.multi_register import MultiRegister
from framework.checking.models.registers import Counter, KeyValue, Mutex, OwnerMutex, Register
from framework.checking.verdict import Verdict
from tests.checking.histories import drawn, drawn_runs, explained

pytestmark = pytest.mark.long

EXAMPLES = 200
twin = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
STEPS = 1_000_000
MEMORY = 1 << 28
MODELS = list(built_in_models().values())
CASES = st.one_of([st.tuples(st.just(model), drawn(model, 8) | drawn_runs(model, 8)) for model in MODELS])
"""A model, and a history of its operations."""


def agrees(calls: list[Call], model: Model) -> None:
    result = check_linearizable(calls, model)
    if not any(call.known for call in calls):
        assert result.verdict is Verdict.UNKNOWN
        return
    assert result.verdict is (Verdict.VALID if explained(calls, model) else Verdict.INVALID)
    assert bool(result.story) == (result.verdict is Verdict.INVALID)


@twin
@given(drawn(Register(), 7))
def test_a_register_agrees(calls: list[Call]) -> None:
    agrees(calls, Register())


@twin
@given(drawn(KeyValue(), 7))
def test_a_store_of_one_key_agrees(calls: list[Call]) -> None:
    agrees(calls, KeyValue())


@twin
@given(drawn(KeyValue(), 6, keys=(None, "x", "y")))
def test_keys_checked_one_by_one_agree_with_all_keys_in_one_order(calls: list[Call]) -> None:
    agrees(calls, KeyValue())


@twin
@given(drawn(Counter(), 7))
def test_a_counter_agrees(calls: list[Call]) -> None:
    agrees(calls, Counter())


@twin
@given(drawn(Queue(), 7))
def test_a_queue_agrees(calls: list[Call]) -> None:
    agrees(calls, Queue())


@twin
@given(drawn(Stack(), 7))
def test_a_stack_agrees(calls: list[Call]) -> None:
    agrees(calls, Stack())


@twin
@given(drawn(Set(), 7))
def test_a_set_agrees(calls: list[Call]) -> None:
    agrees(calls, Set())


@twin
@given(drawn(Set(), 7).map(lambda calls: [call for call in calls if call.function != "read"]))
def test_a_set_that_nobody_reads_as_a_whole_agrees(calls: list[Call]) -> None:
    agrees(calls, Set())


@twin
@given(drawn(Mutex(), 7))
def test_a_mutex_agrees(calls: list[Call]) -> None:
    agrees(calls, Mutex())


@twin
@given(drawn(SetFull(), 7))
def test_a_set_that_only_grows_agrees(calls: list[Call]) -> None:
    agrees(calls, SetFull())


@twin
@given(drawn(OwnerMutex(), 7))
def test_a_mutex_that_knows_its_owner_agrees(calls: list[Call]) -> None:
    agrees(calls, OwnerMutex())


@twin
@given(drawn(MultiRegister(), 6))
def test_transactions_on_several_registers_agree(calls: list[Call]) -> None:
    agrees(calls, MultiRegister())


@twin
@given(drawn(Consensus(), 7))
def test_consensus_agrees(calls: list[Call]) -> None:
    agrees(calls, Consensus())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_mostly_correct_object_of_unlike_values_agrees(model: Model) -> None:
    @twin
    @given(drawn_runs(model, 7))
    def compare(calls: list[Call]) -> None:
        agrees(calls, model)

    compare()


@twin
@given(CASES)
def test_what_the_times_alone_tell_the_search_finds_too(case: tuple[Model, list[Call]]) -> None:
    model, calls = case
    for part in divide(calls, model):
        told = decide_by_times(part.operations, part.model)
        if told is not None:
            verdict, suspects = told
            assert Search(lay_out(part.operations, part.model)).run(STEPS) is verdict
            if verdict is Verdict.INVALID:
                assert Search(lay_out(suspects, part.model)).run(STEPS) is verdict


@twin
@given(CASES)
def test_evidence_is_itself_beyond_explanation(case: tuple[Model, list[Call]]) -> None:
    model, calls = case
    for part in divide(calls, model):
        decision = decide(part.operations, part.model, STEPS, MEMORY)
        if decision.verdict is Verdict.INVALID:
            evidence = shortest_evidence(part.operations, decision, part.model, decide, Bounds())
            assert len(evidence.operations) <= len(part.operations)
            assert decide(evidence.operations, evidence.model, STEPS, MEMORY).verdict is Verdict.INVALID
            assert not explained([call for call, _ in evidence.operations], model)


@pytest.mark.parametrize("model", MODELS)
def test_the_drawn_histories_are_of_both_kinds(model: Model) -> None:
    verdicts: set[bool] = set()

    @twin
    @given(drawn(model, 5))
    def collect(calls: list[Call]) -> None:
        if sum(call.known for call in calls) > 2:
            verdicts.add(explained(calls, model))

    collect()
    assert verdicts == {True, False}
