"""An invariant says in brackets whom it watches."""

from __future__ import annotations

from typing import TypeVar

import pytest

from framework import Invariant, Node, PluginError, Step


class Ticket(Node):
    pass


class Return(Ticket):
    pass


N = TypeVar("N", bound=Ticket)


class Sold(Invariant[N]):
    def observe(self, step: Step, node: N) -> None: ...


class SoldOnce(Sold[Return]):
    pass


class Any(Invariant[Node]):
    def observe(self, step: Step, node: Node) -> None: ...


def test_it_watches_the_class_in_the_brackets_and_a_subclass_may_narrow_it() -> None:
    assert Any.watches is Node
    assert Sold.watches is Node  # nobody has said yet
    assert SoldOnce.watches is Return


def test_without_observe_it_cannot_be_made() -> None:
    class Idle(Invariant[Ticket]):
        pass

    with pytest.raises(TypeError):
        Idle()  # type: ignore[abstract]


def test_what_is_no_node_cannot_be_watched() -> None:
    with pytest.raises(PluginError, match=r"watches int, which is not a node class. Write Invariant\[MyNode\]"):

        class Wrong(Invariant[int]):  # type: ignore[type-var]
            def observe(self, step: Step, node: int) -> None: ...
