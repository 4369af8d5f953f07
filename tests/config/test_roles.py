"""Roles: which nodes of a run have which."""

from __future__ import annotations

from framework import Node, ProtocolSpec
from framework.config.resolve import _assigned_roles
from framework.core.client import Client
from tests.composing import composed


def test_spares_have_the_role_that_takes_all_other_nodes() -> None:
    spec = ProtocolSpec(name="x", summary=".", client=Client, roles={"a": (Node, 1), "b": (Node, None), "c": (Node, 1)})
    found = _assigned_roles(spec, None, ("n1", "n2", "n3", "n4"), ("n5",))
    assert found == {"a": ("n1",), "b": ("n2", "n3", "n5"), "c": ("n4",)}


def test_a_protocol_without_roles_assigns_none() -> None:
    assert composed("protocol=echo", "workload=echo", "engine=sim").experiment.roles == {}
