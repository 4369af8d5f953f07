import msgspec
import pytest

from framework.checking.linearizability.checker import check_linearizable
from framework.checking.models.catalog import built_in_models, model_named
from framework.checking.models.consensus import Consensus
from framework.checking.models.model import ILLEGAL, NO_RESULT
from framework.checking.models.registers import Counter, KeyValue, Register
from framework.checking.verdict import Verdict
from framework.core.errors import ConfigError
from tests.checking.histories import history


@pytest.mark.parametrize(
    ("state", "function", "argument", "result", "after"),
    [
        (1, "read", None, 1, 1),
        (1, "read", None, 2, ILLEGAL),
        (None, "read", None, None, None),
        (1, "write", 2, NO_RESULT, 2),
        (1, "cas", (1, 2), True, 2),
        (1, "cas", (1, 2), False, ILLEGAL),
        (1, "cas", (3, 2), True, ILLEGAL),
        (1, "cas", (3, 2), False, 1),
        (1, "cas", (1, 2), NO_RESULT, 2),
        (1, "cas", (3, 2), NO_RESULT, 1),
        (None, "cas", (None, 2), True, 2),
        (None, "append", "b", NO_RESULT, "b"),
        ("a", "append", "b", NO_RESULT, "ab"),
        (1, "append", "b", NO_RESULT, ILLEGAL),
        ("a", "delete", None, NO_RESULT, None),
    ],
)
def test_a_key_value_store_does_what_its_table_says(
    state: object, function: str, argument: object, result: object, after: object
) -> None:
    assert KeyValue().step(state, function, argument, result) == after


def test_a_counter_adds_and_tells_the_sum_or_not() -> None:
    counter = Counter()
    assert counter.step(2, "increment", 3, NO_RESULT) == 5
    assert counter.step(2, "increment", 3, 5) == 5
    assert counter.step(2, "increment", 3, 4) is ILLEGAL
    assert counter.step(2, "read", None, 2) == 2
    assert counter.step(2, "read", None, 3) is ILLEGAL


def test_consensus_decides_the_first_proposal_and_tells_everyone() -> None:
    consensus = Consensus()
    assert consensus.step(None, "propose", 1, 1) == 1
    assert consensus.step(None, "propose", 1, NO_RESULT) == 1
    assert consensus.step(None, "propose", 1, 2) is ILLEGAL
    assert consensus.step(1, "propose", 2, 1) == 1
    assert consensus.step(1, "propose", 2, NO_RESULT) == 1
    assert consensus.step(1, "propose", 2, 2) is ILLEGAL


def test_what_nobody_had_proposed_in_time_cannot_be_decided() -> None:
    calls = history((0, "propose", 1, 2, 0, 1), (1, "propose", 2, 2, 2, 3))
    assert check_linearizable(calls, Consensus()).verdict is Verdict.INVALID
    calls = history((0, "propose", 1, 2, 0, 3), (1, "propose", 2, None, 2, None))
    assert check_linearizable(calls, Consensus()).verdict is Verdict.VALID


def test_an_increment_without_argument_adds_one() -> None:
    calls = history((0, "increment", None, None, 0, 1), (0, "read", None, 1, 2, 3))
    assert check_linearizable(calls, Counter()).verdict is Verdict.VALID


def test_true_is_not_one() -> None:
    calls = history((0, "write", (1, True), None, 0, 1), (0, "read", None, (1, 1), 2, 3))
    assert check_linearizable(calls, Register()).verdict is Verdict.INVALID
    calls = history((0, "write", (1, True), None, 0, 1), (0, "read", None, (1, True), 2, 3))
    assert check_linearizable(calls, Register()).verdict is Verdict.VALID


def test_what_a_write_answers_is_not_looked_at() -> None:
    calls = history((0, "write", 1, "stored", 0, 1), (0, "read", None, 1, 2, 3))
    assert check_linearizable(calls, Register()).verdict is Verdict.VALID


def test_models_are_found_by_name() -> None:
    names = ["register", "kv", "counter", "queue", "stack", "set", "set-full", "mutex", "owner-mutex", "consensus"]
    assert list(built_in_models()) == [*names, "multi-register"]
    assert all(model_named(name).name == name for name in built_in_models())
    assert isinstance(model_named("cas-register"), Register)


def test_a_misspelt_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'registre'. Did you mean 'register'\?"):
        model_named("registre")


@pytest.mark.parametrize(
    ("model", "row", "complaint"),
    [
        (Register(), (0, "raed", None, 1, 0, 1), r"operation 0 \(raed by c0\) .*Did you mean 'read'\?"),
        (Register(), (0, "append", "a", None, 0, 1), "a function that the model 'register' lacks"),
        (KeyValue(), (0, "cas", 3, True, 0, 1), r"cas takes a pair: \(old, new\)"),
        (KeyValue(), (0, "cas", (1, 2), None, 0, 1), "cas answers true or false"),
        (KeyValue(), (0, "append", 3, None, 0, 1), "append takes a text"),
        (KeyValue(), (0, "write", {"a": 1}, None, 0, 1), "a value that cannot be compared"),
        (Counter(), (0, "increment", "one", None, 0, 1), "increment takes an integer"),
        (Counter(), (0, "increment", True, None, 0, 1), "increment takes an integer"),
    ],
)
def test_a_call_that_the_model_does_not_know_is_refused(model: object, row: tuple, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        check_linearizable(history(row), model)


def test_a_failed_call_need_not_make_sense() -> None:
    calls = history((0, "append", 3, None, 0, 1), (0, "write", 1, None, 2, 3))
    refused = msgspec.structs.replace(calls[0], outcome="fail")
    assert check_linearizable([refused, calls[1]], KeyValue()).verdict is Verdict.VALID
