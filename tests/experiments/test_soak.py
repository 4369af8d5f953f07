"""A soak runs seeds, keeps each outcome, goes on where it was, and sums up honestly."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from experiments.soak.__main__ import main
from experiments.soak.seeds import Course, Outcome
from experiments.soak.summary import exit_code, summary
from framework.registry.registry import load
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult
from tests.reduction.test_shrink import FORGETFUL

QUICK = ("--experiment", "raft_3nodes", "--processes", "1", "engine=sim", "duration=100ms", "clients=2")


def outcome(seed: int, verdict: str = "valid", *reasons: str, **faults: int) -> Outcome:
    return Outcome(
        seed=seed, verdict=verdict, reasons=reasons, operations=10, faults=faults, sometimes={"a change": seed % 2}, took_s=0.25
    )  # fmt: skip


@pytest.mark.parametrize(
    "protocol", sorted(name for name, spec in load().registered.protocols.items() if spec.recovers)
)
def test_fifty_seeds_under_chaos_are_valid_and_every_kind_of_fault_fires(protocol: str) -> None:
    """Of each protocol that promises to live through faults, by the experiment that is named for it."""
    course = Course.of([f"experiment={protocol}_chaos", "trace=history"])
    outcomes = [course.run(seed) for seed in range(50)]
    whole = [one for one in outcomes if one is not None]
    assert [(one.seed, one.reasons) for one in whole if one.verdict != "valid"] == []
    assert len(whole) == 50
    fired = {kind.partition(" ")[0] for one in whole for kind in one.faults}
    assert fired == {"clock", "crash", "delay", "disk", "duplicate", "loss", "partition", "pause", "reorder"}
    assert all(any(one.sometimes[name] for one in whole) for name in whole[0].sometimes)


def test_a_soak_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "0:2", "--dir", str(tmp_path), *QUICK]) == 0
    first = (tmp_path / "seeds.jsonl").read_bytes()
    assert main(["--seeds", "0:4", "--dir", str(tmp_path), *QUICK]) == 0
    lines = (tmp_path / "seeds.jsonl").read_bytes().splitlines()
    assert b"\n".join(lines).startswith(first.rstrip()) and len(lines) == 5
    assert [json.loads(line)["seed"] for line in lines[1:]] == [0, 1, 2, 3]
    shown = capsys.readouterr().out
    assert "2 seeds: 2 valid, 0 unknown, 0 invalid" in shown and "4 seeds: 4 valid" in shown


def test_a_line_that_was_cut_off_is_run_again(tmp_path: Path) -> None:
    assert main(["--seeds", "0:2", "--dir", str(tmp_path), *QUICK]) == 0
    file = tmp_path / "seeds.jsonl"
    file.write_bytes(file.read_bytes()[:-9])
    assert main(["--seeds", "0:2", "--dir", str(tmp_path), *QUICK]) == 0
    assert [json.loads(line)["seed"] for line in file.read_bytes().splitlines()[1:]] == [0, 1]


SHARED = "Runs of one process share {}.SEEN, which a run changes: keep state in attributes of the node, self.NAME."
KEEPS = "SEEN: list[str] = []\n\n\nclass Forgetful(Node):"
ANSWERS = "        self.send(sender, Told(ask.operation, self.values.get(ask.key)))"
LATER = """        SEEN.append(ask.key)
        self.set_timer(self.answer, sender, ask.operation, ask.key, after=1 + 10 * len(SEEN))

    @on_timer
    def answer(self, sender: NodeId, operation: OperationId, key: str) -> None:
        self.send(sender, Told(operation, self.values.get(key)))"""
FAILS = f"        SEEN.append(ask.key)\n        assert len(SEEN) < 200\n{ANSWERS}"


def soak_of(folder: Path, name: str, answers: str) -> list[str]:
    """Three seeds of a protocol that keeps what it was asked in a list of its module."""
    assert ANSWERS in FORGETFUL
    plugin = folder / f"{name}.py"
    plugin.write_text(FORGETFUL.replace("class Forgetful(Node):", KEEPS).replace(ANSWERS, answers))
    words = ["experiment=hello", f"plugins.path={plugin}", "protocol=forgetful", "workload=kv", "duration=60ms"]
    return ["--processes", "1", "--seeds", "0:3", "--dir", str(folder / "soak"), "--experiment", "hello", "engine=sim",
            "network=lan", "workload.think_time=1ms", *words[1:]]  # fmt: skip


def test_seeds_that_fail_only_among_others_are_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = soak_of(tmp_path, "synod_test_soak_fails", FAILS)
    assert main(words) == 2
    first = capsys.readouterr().out.splitlines()
    assert first[0].startswith("seeds ") and first[0].endswith(
        "came out otherwise in a process of their own, so that no outcome counts. "
        f"{SHARED.format('synod_test_soak_fails')} Then begin anew with another --dir."
    )
    assert first[1] == "3 seeds: 3 valid, 0 unknown, 0 invalid"
    assert not any("framework.run" in line for line in first)
    assert main(words) == 2, "also when there is nothing left to run"
    assert capsys.readouterr().out.splitlines()[:2] == first[:2]


def test_seeds_that_depend_on_others_do_not_pass_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(soak_of(tmp_path, "synod_test_soak_later", LATER)) == 2
    shown = capsys.readouterr().out
    assert shown.startswith("seeds 2 came out otherwise") and SHARED.format("synod_test_soak_later") in shown


def test_a_failure_that_is_one_alone_too_is_printed_once_it_was_confirmed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        word.replace("duration=60ms", "duration=300ms") for word in soak_of(tmp_path, "synod_test_soak_true", FAILS)
    ]
    assert main(words) == 1
    shown = capsys.readouterr().out
    assert re.search(
        r"seed 0, invalid: n1 crashed: AssertionError in on_ask \(\S+\.py:\d+\)\n  python -m framework.run experiment=hello",
        shown,
    )


def test_a_folder_that_holds_another_soak_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "0:1", "--dir", str(tmp_path), *QUICK]) == 0
    assert main(["--seeds", "0:1", "--dir", str(tmp_path), *QUICK, "nodes=5"]) == 2
    assert "holds another soak" in capsys.readouterr().err


def test_the_summary_counts_reasons_by_kind_and_tells_how_to_see_each_failure_again() -> None:
    outcomes = [
        outcome(1, "valid", crash=2),
        outcome(2, "unknown", "fault chaos/loss touched none of 31 messages, 6 expected", crash=1),
        outcome(3, "unknown", "fault chaos/loss touched none of 70 messages, 7 expected"),
        outcome(4, "invalid", "n2 crashed: ZeroDivisionError: division by zero in on_vote"),
        outcome(
            5,
            "invalid",
            "no progress within 1s after everything was healed; n1 leader (term 7); open: c1 read k1 since 2.000s",
        ),
        outcome(6, "invalid", "no progress within 1s after everything was healed; n1 n2 candidate (term 9)"),
    ]
    lines = summary(outcomes, "again {}".format, took_s=2.0, done=4)
    assert lines[:5] == [
        "6 seeds: 1 valid, 2 unknown, 3 invalid",
        "  invalid 2 times: no progress within … after everything was healed",
        "  invalid 1 times: … crashed: ZeroDivisionError: division by zero in on_vote",
        "  unknown 2 times: fault chaos/loss touched none of … messages, … expected",
        "operations that succeeded: 60",
    ]
    assert "  crash                           3  in 2 seeds" in lines
    assert "  a change                        3  in 3 seeds" in lines
    assert (
        lines[lines.index("seed 4, invalid: n2 crashed: ZeroDivisionError: division by zero in on_vote") + 1]
        == "  again 4"
    )
    assert "2.0 seeds/s; a seed takes 0.25 s (median), 0.25 s at the most" in lines


def test_the_exit_code_is_that_of_the_worst_seed() -> None:
    assert exit_code([outcome(1)]) == 0
    assert exit_code([outcome(1), outcome(2, "unknown", "why")]) == 2
    assert exit_code([outcome(2, "unknown", "why"), outcome(3, "invalid", "why")]) == 1
    assert exit_code([]) == 2


def test_a_failure_is_taken_again_with_its_full_trace() -> None:
    course = Course.of(["experiment=raft_chaos", "trace=history", "nodes=3"])
    assert course.command(7) == "python -m framework.run experiment=raft_chaos nodes=3 seed=7"


def test_a_seed_that_breaks_in_a_way_nobody_expected_is_unknown_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(plan: Plan, *others: Any) -> RunResult:
        if plan.experiment.seed == 1:
            raise KeyError("x")
        return execute(plan, *others)

    monkeypatch.setattr("experiments.soak.seeds.execute", breaks)
    monkeypatch.setattr("experiments.soak.__main__.confirmed", lambda course, found: ())  # elsewhere it breaks nowhere
    assert main(["--seeds", "0:3", "--dir", str(tmp_path), *QUICK]) == 2
    shown = capsys.readouterr()
    assert "3 seeds: 2 valid, 1 unknown, 0 invalid" in shown.out and shown.err == ""
    assert "seed 1, unknown: unexpected KeyError: 'x' (tests/experiments/test_soak.py:" in shown.out


@pytest.mark.parametrize("seeds", ["0:" + "1" * 5_000, "0:\u00b2", "5:5", "5:3", "3", ":"])
def test_what_is_no_range_of_seeds_is_one_line(seeds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", seeds]) == 2
    told = capsys.readouterr().err
    assert "is no range of seeds: write 0:5000." in told and told.count("\n") == 1 and len(told) < 300
