"""Errors are one line: where, what, and what to do."""

from __future__ import annotations

import pickle

from framework.core.errors import ConfigError, PluginError, Violation, abbreviated, did_you_mean


def test_a_mistake_is_where_what_and_what_to_do() -> None:
    error = ConfigError(
        "conf/network/wan.yaml", "unknown region 'eu-west-9'", did_you_mean("eu-west-9", ["eu-west-3", "us-east-1"])
    )
    assert str(error) == "conf/network/wan.yaml: unknown region 'eu-west-9'. Did you mean 'eu-west-3'?"
    assert str(PluginError("Raft", "has no leader.", "Elect one.")) == "Raft: has no leader. Elect one."
    assert str(PluginError("Raft", "has no leader")) == "Raft: has no leader"


def test_without_a_near_word_all_options_are_named() -> None:
    assert did_you_mean("xyz", ["raft", "echo"]) == "There are: echo, raft."
    assert did_you_mean("xyz", []) == ""


def test_no_option_is_near_a_very_long_word() -> None:
    assert did_you_mean("raft" * 1000, ["raft", "abd"]) == "There are: abd, raft."


def test_of_a_long_text_the_middle_is_left_out() -> None:
    assert abbreviated("x" * 200) == "x" * 200
    assert abbreviated("a" * 200 + "b" * 200, 10) == "aaaaa…bbbbb (400 characters)"


def test_a_violation_names_the_property_and_the_nodes() -> None:
    assert str(Violation("election safety", ["n1", "n2"], "two leaders in term 3")) == (
        "election safety broken at n1, n2: two leaders in term 3"
    )
    assert str(Violation("durability", [], "x was lost")) == "durability broken: x was lost"


def test_errors_travel_between_processes() -> None:
    for error in (ConfigError("a", "b", "c"), PluginError("a", "b"), Violation("p", ("n1",), "w")):
        twin = pickle.loads(pickle.dumps(error))
        assert (type(twin), str(twin)) == (type(error), str(error))
