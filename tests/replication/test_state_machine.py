"""State machines: commands and results are bytes to a protocol, values to their author."""

from __future__ import annotations

import pytest

from framework.core.errors import PluginError
from framework.core.value import Value
from framework.replication.state_machine import Refused, StateMachine, StateMachineChoice, operation
from tests.replication.machines import Register


class Doubling(Register):
    def add(self, key: str | None, argument: Value) -> Value:
        return super().add(key, 2 * argument)

    @operation
    def last(self, key: str | None, argument: Value) -> Value:
        return self.values[-1]


def call(machine: StateMachine, function: str, key: str | None = None, argument: Value = None) -> Value:
    return machine.result(machine.apply(machine.command(function, key, argument)))


def test_an_operation_is_called_by_its_name() -> None:
    machine = Register()
    assert (call(machine, "add", None, 3), call(machine, "add", None, 4)) == (3, 7)


def test_a_subclass_inherits_operations_and_overrides_them_undecorated() -> None:
    assert (Register.operations, Doubling.operations) == (("add", "total", "echo"), ("add", "total", "echo", "last"))
    assert call(Doubling(), "add", None, 3) == 6


@pytest.mark.parametrize("value", [None, True, 3, "x", (), (1, ("a", (2, None))), ((1,), (2,))])
def test_values_arrive_and_return_as_they_were_tuples_however_deep(value: Value) -> None:
    assert call(Register(), "echo", "k", value) == ("k", value)


def test_an_operation_that_it_lacks_is_refused_and_names_those_it_has() -> None:
    with pytest.raises(Refused, match=r"Register has no operation 'sub'\. It has: add, total, echo\."):
        call(Register(), "sub")


@pytest.mark.parametrize("command", [b"", b"\xc1", b"\x93\xa3add", b"\x01", b"\x93\x01\xc0\x01", b"\x92\xa3add\xc0"])
def test_a_command_that_cannot_be_decoded_is_refused_and_changes_nothing(command: bytes) -> None:
    machine = Register()
    with pytest.raises(Refused, match="the command cannot be decoded: "):
        machine.result(machine.apply(command))
    assert machine == Register()


def test_a_refusal_changes_nothing_and_reaches_the_client() -> None:
    machine = Register()
    with pytest.raises(Refused, match="cannot take away"):
        call(machine, "add", None, -1)
    assert machine == Register()


def test_copies_are_equal_and_apart() -> None:
    machine = Register()
    twin = machine.copy()
    call(twin, "add", None, 1)

    assert machine == Register() and machine != twin and machine != 3
    assert Register() != Doubling()


def test_a_choice_builds_a_new_machine_each_time() -> None:
    choice = StateMachineChoice(Register)
    first, second = choice.build(), choice.build()
    assert first == second and first is not second


def test_a_machine_without_snapshots_says_what_to_write() -> None:
    class Bare(StateMachine):
        pass

    with pytest.raises(PluginError, match=r"Bare: has no snapshot\(\)\. Write snapshot\(\) -> bytes and restore"):
        Bare().snapshot()
    with pytest.raises(PluginError, match=r"Bare: has no restore\(\)\."):
        Bare().restore(b"")


def test_an_operation_takes_a_key_and_an_argument() -> None:
    with pytest.raises(
        PluginError, match=r"Broken\.get: an operation takes a key and an argument\. Write def get\(self, key"
    ):

        class Broken(StateMachine):
            @operation  # type: ignore[type-var]
            def get(self, key: str) -> Value: ...
