"""An invariant says in brackets whom it watches."""

from __future__ import annotations

from typing import Optional, TypeVar

import pytest

from framework import Invariant, Node, PluginError, Step
from framework.checking.invariants import names_nodes


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

    with pytest.raises(
        PluginError, match=r"watches 'Nonsense', which is a text, and not a node class. Write Invariant"
    ):

        class Spelt(Invariant["Nonsense"]):  # type: ignore[name-defined]
            def observe(self, step: Step, node: Node) -> None: ...

    with pytest.raises(PluginError, match=r"watches (typing\.)?Optional\[.*Ticket\], which is not a node class"):

        class Either(Invariant[Optional[Ticket]]):  # type: ignore[type-var]  # noqa: UP045
            def observe(self, step: Step, node: Ticket) -> None: ...


def test_it_names_the_nodes_itself_or_through_a_base() -> None:
    assert names_nodes(Any)
    assert names_nodes(SoldOnce)
    assert not names_nodes(Sold)
