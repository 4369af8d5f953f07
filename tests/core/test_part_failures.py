"""A placement or balancer that raises within a node is found in the traceback, whatever its caller made of it."""

from __future__ import annotations

from framework import Placement, PlacementChoice, PlacementConfig
from framework.core.part_failures import failed_part


class Broken(Placement):
    def first(self, hash: int) -> int:
        raise KeyError(hash)


class Node:
    def look_up(self) -> int:
        return Broken(PlacementConfig()).first(7)  # type: ignore[abstract]


class Settings(PlacementConfig):
    placement: PlacementChoice = PlacementChoice("broken", placement=Broken)


def caught(call: object) -> Exception:
    try:
        call()  # type: ignore[operator]
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_it_is_named_as_the_config_names_it() -> None:
    Broken.__abstractmethods__ = frozenset()
    error = caught(Node().look_up)
    at = f"first raised KeyError: 7 (tests/core/test_part_failures.py:{Broken.first.__code__.co_firstlineno + 1})"
    assert str(failed_part(error, Settings())) == f"placement=broken: {at}"
    assert str(failed_part(error, None)) == f"placement=Broken: {at}"


def test_a_mistake_in_the_use_of_one_is_its_callers() -> None:
    Broken.__abstractmethods__ = frozenset()
    placement = Broken(PlacementConfig())  # type: ignore[abstract]
    placement.add("n1")
    assert failed_part(caught(lambda: placement.add("n1")), Settings()) is None
    assert failed_part(caught(lambda: {}["x"]), Settings()) is None
