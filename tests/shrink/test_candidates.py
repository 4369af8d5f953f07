"""What is offered as smaller than a config."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from framework.core.message import Config
from framework.shrink.candidates import dimensions

CONFIG: Config = {
    "nodes": 5, "clients": 4, "duration": "2s", "warmup": "100ms", "quiet": "500ms", "seed": 3,
    "protocol": {"name": "raft", "heartbeat_interval": "20ms", "session": {"retry": "60ms"}},
    "workload": {"name": "kv", "loop": "closed", "think_time": "10ms", "keys": 8, "mix": {"read": 1, "write": 2, "cas": 0}},
    "network": {"name": "lan"},
    "engine": {"name": "sim", "disk_latency": "2ms", "service_time": "0"},
    "faults": {
        "early": {"name": "crash", "at": "100ms", "every": "300ms", "for": "50ms"},
        "late": {"name": "script", "at": "1s", "steps": ["one", "two"], "count": 4},
    },
}  # fmt: skip

DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("protocol", "raft"): {"heartbeat_interval": "50ms", "session": {"retry": "500ms"}},
    ("engine", "sim"): {"disk_latency": "0", "service_time": "0"},
    ("network", "perfect"): {"latency": "500us"},
}


def defaults(group: str, name: str) -> Mapping[str, Any]:
    return DEFAULTS.get((group, name), {})


LATE = 5_000_000_000


def offered(name: str, config: Config = CONFIG, ended: int = LATE) -> list[Config]:
    return next(list(candidates) for other, candidates in dimensions(config, defaults, ended) if other == name)


def test_no_candidate_is_the_config_itself_and_none_shares_anything_with_it() -> None:
    before = copy.deepcopy(CONFIG)

    for name, candidates in dimensions(CONFIG, defaults, LATE):
        for candidate in candidates:
            assert candidate != CONFIG, name
            for group in ("faults", "workload", "engine"):
                candidate[group]["spoilt"] = True
    assert before == CONFIG


def test_fewer_nodes_and_clients_the_fewest_first() -> None:
    assert [smaller["nodes"] for smaller in offered("nodes")] == [1, 2, 3, 4]
    assert [smaller["clients"] for smaller in offered("clients")] == [1, 2, 3]
    assert offered("nodes", {**CONFIG, "nodes": 1}) == []


def test_a_shorter_run_may_take_the_times_of_its_faults_along() -> None:
    squeezed, kept = offered("duration")[:2]

    assert (squeezed["duration"], squeezed["quiet"]) == ("200ms", "50ms")
    assert squeezed["faults"]["early"] == {"name": "crash", "at": "10ms", "every": "30ms", "for": "5ms"}
    assert (kept["duration"], kept["faults"]) == ("200ms", {})  # quiet leaves them no time
    assert offered("duration", {**CONFIG, "duration": "1ms"}) == []


def test_a_run_that_failed_early_may_end_there() -> None:
    until = offered("duration", ended=123_456_789)[0]

    assert (until["duration"], until["quiet"]) == ("125ms", "1ms")
    assert until["faults"] == {"early": CONFIG["faults"]["early"]}


def test_a_schedule_keeps_the_steps_that_a_shorter_run_has_time_for() -> None:
    steps = [{"at": "50ms", "fault": "crash"}, {"at": "1s", "fault": "pause"}]
    until = offered("duration", {**CONFIG, "faults": {"schedule": {"steps": steps}}}, ended=123_456_789)[0]

    assert until["faults"]["schedule"]["steps"] == steps[:1]
    assert offered("duration", {**CONFIG, "faults": {"schedule": {"steps": steps[1:]}}}, ended=1)[0]["faults"] == {}


def test_faults_go_all_at_once_or_one_by_one_and_their_settings_shrink() -> None:
    assert [sorted(smaller["faults"]) for smaller in offered("faults")] == [[], ["early"], ["late"]]
    settings = [smaller["faults"] for smaller in offered("faults' settings")]
    assert settings[0]["early"]["every"] == "0"
    assert [each["late"]["steps"] for each in settings[1:4]] == [[], ["one"], ["two"]]
    assert [each["late"]["count"] for each in settings[4:]] == [1, 2]


def test_fewer_operations_by_longer_thought_fewer_keys_and_fewer_kinds() -> None:
    workloads = [smaller["workload"] for smaller in offered("operations")]

    assert [each["think_time"] for each in workloads[:2]] == ["100ms", "20ms"]
    assert [each["keys"] for each in workloads[2:4]] == [1, 4]
    assert [each["mix"] for each in workloads[4:]] == [
        {"read": 0, "write": 2, "cas": 0},
        {"read": 1, "write": 0, "cas": 0},
    ]
    rates = offered("operations", {**CONFIG, "workload": {"name": "kv", "loop": "open", "rate": 200.0}})
    assert [smaller["workload"]["rate"] for smaller in rates] == [20.0, 100.0]


def test_settings_return_to_their_defaults_together_and_one_by_one() -> None:
    together, heartbeat, session = offered("protocol's settings")

    assert together["protocol"] == {"name": "raft", **DEFAULTS["protocol", "raft"]}
    assert heartbeat["protocol"]["heartbeat_interval"] == "50ms"
    assert heartbeat["protocol"]["session"] == {"retry": "60ms"}
    assert session["protocol"]["session"] == {"retry": "500ms"}
    assert [smaller["engine"]["disk_latency"] for smaller in offered("engine")] == ["0"]
    assert [smaller["network"] for smaller in offered("network")] == [{"name": "perfect", "latency": "500us"}]
