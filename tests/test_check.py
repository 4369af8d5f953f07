"""`python -m framework.check`: verdicts on histories of any system."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from framework.check.__main__ import main
from framework.run.__main__ import main as run

pytestmark = pytest.mark.long

COMMAND = ["linearizability", "--model"]


def lines(path: Path, *rows: tuple[Any, ...]) -> str:
    names = ("process", "type", "f", "value", "key")
    path.write_text("".join(json.dumps(dict(zip(names, row, strict=False))) + "\n" for row in rows))
    return str(path)


def test_a_valid_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lines(tmp_path / "h.jsonl", (0, "invoke", "enqueue", 1), (0, "ok", "enqueue", None))
    assert main([*COMMAND, "queue", file]) == 0
    *_, costs, verdict = capsys.readouterr().out.splitlines()
    assert costs.startswith(f"{file}: queue, 1 operations (0 failed, 0 of unknown fate), checked in 0.0")
    assert verdict == "verdict: valid — 1 operations on 1 key explained"


def test_an_invalid_one_with_its_story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lines(
        tmp_path / "h.jsonl",
        *((0, "invoke", "push", 1), (0, "ok", "push", None), (0, "invoke", "push", 2), (0, "ok", "push", None)),
        *((1, "invoke", "pop", None), (1, "ok", "pop", 1)),
    )
    assert main([*COMMAND, "stack", file]) == 1
    told = capsys.readouterr().out
    _, verdict, *story = told.splitlines()
    assert verdict == "verdict: invalid — the object: no order explains its 3 operations"
    assert story[-2:] == [
        "  5.000 to 6.000  process 1, operation 2: pop() answered 1",
        "  process 1, operation 2: pop() answered 1, but no order of these operations allows that by 6.000 ms.",
    ]


def test_nothing_known_or_a_spent_budget_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lines(tmp_path / "open.jsonl", (0, "invoke", "write", 1))
    assert main([*COMMAND, "register", file]) == 2
    rows = [(n, "invoke", "increment", 3**n) for n in range(12)]
    rows += [
        (99, "invoke", "read", None),
        (99, "ok", "read", 3**11 - 1),
        *((n, "ok", "increment", None) for n in range(12)),
    ]
    assert main([*COMMAND, "counter", "--budget", "1000", lines(tmp_path / "hard.jsonl", *rows)]) == 2
    assert "verdict: unknown — budget of 1,000 steps spent on the object" in capsys.readouterr().out


def test_of_several_files_the_worst_verdict_counts(tmp_path: Path) -> None:
    good = lines(tmp_path / "good", (0, "invoke", "read", None), (0, "ok", "read", None))
    bad = lines(tmp_path / "bad", (0, "invoke", "read", None), (0, "ok", "read", 1))
    assert main([*COMMAND, "cas-register", good, bad]) == 1
    assert main([*COMMAND, "cas-register", "--initial", "1", bad]) == 0


def test_a_file_that_cannot_be_read_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = lines(tmp_path / "good", (0, "invoke", "read", None), (0, "ok", "read", None))
    bad = lines(tmp_path / "bad", (0, "invoke", "read", None), (0, "ok", "read", 1))
    still = lines(tmp_path / "open", (0, "invoke", "write", 1))
    broken = lines(tmp_path / "broken", (0, "ok", "read", 1))
    missing = str(tmp_path / "missing")
    for files, code in [
        ((good, good), 0),
        ((broken, good), 2),
        ((good, missing), 2),
        ((good, still), 2),
        ((broken, still, bad, missing, good), 1),
        ((bad, broken), 1),
        ((missing, broken), 2),
    ]:
        assert main([*COMMAND, "register", *files]) == code, files
    told = capsys.readouterr()
    assert told.out.count("verdict: valid") == 6 and told.out.count("verdict: invalid") == 2
    assert told.err.splitlines()[0] == (
        f"{broken}:1: read of process 0 completes, but was never invoked. Is a part missing before it?"
    )
    assert told.err.count("\n") == 7
    assert main(["linearizability", good, bad]) == 2  # each says that it has no model
    assert capsys.readouterr().err.count("does not say what it is a history of") == 2


def test_reads_of_nil_can_be_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(0, "invoke", "write", 1), (0, "ok", "write", None), (0, "invoke", "read", None), (0, "ok", "read", None)]
    file = lines(tmp_path / "h.jsonl", *rows, (0, "invoke", "read", None), (0, "ok", "read", 1))
    assert main([*COMMAND, "register", file]) == 1
    capsys.readouterr()
    assert main([*COMMAND, "register", "--ignore-nil-reads", file]) == 0
    assert ": register, 2 operations (0 failed, 0 of unknown fate, 1 read of nil ignored)," in capsys.readouterr().out
    file = lines(tmp_path / "h.jsonl", *rows, (0, "invoke", "read", None), (0, "ok", "read", 2))
    assert main([*COMMAND, "register", "--ignore-nil-reads", file]) == 1
    file = lines(
        tmp_path / "q.jsonl",
        (0, "invoke", "enqueue", 1),
        (0, "ok", "enqueue"),
        (0, "invoke", "dequeue"),
        (0, "ok", "dequeue"),
    )
    assert main([*COMMAND, "queue", "--ignore-nil-reads", file]) == 1


def test_skipped_lines_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "history.edn"
    nemesis = "{:process :nemesis, :type :info, :f :start, :value nil}"
    file.write_text(
        f"{nemesis}{nemesis}{{:process 0, :type :invoke, :f :write, :value 1}}{{:process 0, :type :ok, :f :write, :value 1}}"
    )
    assert main([*COMMAND, "register", str(file)]) == 0
    assert "1 operations (0 failed, 0 of unknown fate, 2 lines of the nemesis skipped)," in capsys.readouterr().out


def test_a_process_is_told_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "history.edn"
    file.write_text("{:process :reader, :type :invoke, :f :read}{:process :reader, :type :ok, :f :read, :value 99}")
    assert main([*COMMAND, "register", str(file)]) == 1
    assert "process :reader, operation 0: read() saw 99" in capsys.readouterr().out


def test_a_transaction_that_read_what_it_was_asked_with_read_nil(tmp_path: Path) -> None:
    file = tmp_path / "history.edn"
    write, read = "[[:w :x 1]]", "[[:r :x nil]]"
    file.write_text(
        "".join(f"{{:process 0, :type :{kind}, :f :txn, :value {value}}}" for value in (write, read) for kind in ("invoke", "ok"))
    )  # fmt: skip
    assert main([*COMMAND, "multi-register", str(file)]) == 1
    file.write_text(file.read_text().replace("[[:r :x nil]]}", "[[:r :x 1]]}"))
    assert main([*COMMAND, "multi-register", str(file)]) == 0
    assert main([*COMMAND, "multi-register", "--initial", "{:y 1}", str(file)]) == 0


def test_a_failed_call_whose_value_was_seen_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = [("writ", {"a": 1}), ("write", {"a": 1}), ("cas", [1]), ("write", 9)]
    rows = [(0, kind, function, value) for function, value in odd for kind in ("invoke", "fail")]
    assert main([*COMMAND, "register", lines(tmp_path / "h", *rows, (1, "invoke", "read"), (1, "ok", "read", 9))]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == (
        "  process 1, operation 4: read() saw 9, but nothing had put that value there by 10.000 ms:"
        " process 0's write(9) (operation 3) failed."
    )


def test_a_witness_keeps_the_values_of_the_file(tmp_path: Path) -> None:
    file, witness = tmp_path / "history.edn", tmp_path / "witness.jsonl"
    file.write_text(
        """{:process 0, :type :invoke, :f :write, :value [true [:a 1.5 1/2]]}
           {:process 0, :type :ok, :f :write, :value [true [:a 1.5 1/2]]}"""
    )
    assert main([*COMMAND, "register", "--independent", "--witness", str(witness), str(file)]) == 0
    (line,) = map(json.loads, witness.read_text().splitlines())
    assert (line["key"], line["value"]) == (True, [{"edn": ":a"}, 1.5, {"edn": "1/2"}])


MODELS = """
from framework import ModelSpec, hookimpl
from framework.checking.models.sequential import SequentialModel

class Broken(SequentialModel):
    functions = ("work", "rest")
    initial = 0

    def apply(self, state, function, argument):
        return {}[function] if function == "work" else state

class Unmade(Broken):
    def __init__(self):
        raise ValueError("no way")

@hookimpl
def register_models():
    return [ModelSpec(name="broken", model=Broken, summary=""), ModelSpec(name="unmade", model=Unmade, summary="")]
"""


def test_a_model_that_raises_is_named_with_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = tmp_path / "broken_models.py"
    plugin.write_text(MODELS)
    for model, function, complaint in [
        ("broken", "work", "model=broken: apply(0, 'work', 1) raised KeyError: 'work' ("),
        (
            "broken",
            "rest",
            "model=broken: apply(0, 'rest', 1) returned 0 (int), expected (answer, state after) or ILLEGAL",
        ),
        ("unmade", "work", "model=unmade: __init__ raised ValueError: no way ("),
    ]:
        file = lines(tmp_path / "h", (0, "invoke", function, 1), (0, "ok", function, 2))
        assert main([*COMMAND, model, f"plugins.path={plugin}", file]) == 2
        told = capsys.readouterr()
        assert told.out == "" and told.err.count("\n") == 1
        assert complaint in told.err and "broken_models.py:" in told.err.partition(complaint)[2]


TICKETS = """
from framework import ModelSpec, SequentialModel, hookimpl

class Tickets(SequentialModel):
    functions = ("draw",)
    initial = 0

    def apply(self, state, function, argument):
        return state + argument, state + argument

@hookimpl
def register_models():
    return [ModelSpec(name="tickets", model=Tickets, summary="")]
"""


def test_an_ok_that_repeats_its_argument_is_judged_both_ways_for_a_model_of_ones_own_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tickets.py").write_text(TICKETS)
    file = tmp_path / "history.edn"
    file.write_text(
        "".join(f"{{:process {n}, :type :{kind}, :f :draw, :value 1}}" for n in (0, 1) for kind in ("invoke", "ok"))
    )
    words = [*COMMAND, "tickets", f"plugins.path=[{tmp_path / 'tickets.py'}]"]
    assert main([*words, str(file)]) == 2
    told = "values of draw completions equal the arguments: valid if they repeat them, invalid if they are the results"
    assert told in capsys.readouterr().out
    assert main([*words, "--ok-value", "argument", str(file)]) == 0
    assert main([*words, "--ok-value", "result", str(file)]) == 1


def test_what_the_values_of_completions_are_may_change_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "history.edn"
    file.write_text(
        "".join(
            f"{{:process {n}, :type :{kind}, :f :increment, :value 1}}" for n in (0, 1) for kind in ("invoke", "ok")
        )
    )
    assert main([*COMMAND, "counter", str(file)]) == 2
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == (
        "verdict: unknown — values of increment completions equal the arguments: valid if they repeat them, invalid if"
        " they are the results. --ok-value argument or --ok-value result says which"
    )
    assert main([*COMMAND, "counter", "--ok-value", "argument", str(file)]) == 0
    assert main([*COMMAND, "counter", "--ok-value", "result", str(file)]) == 1
    assert main([*COMMAND, "counter", "--ok-value", "results", str(file)]) == 2
    assert "--ok-value: unknown value 'results'. Did you mean 'result'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("initial", "seen"),
    [
        (":x", ":x"),
        ("x", "x"),
        ('"x"', '"x"'),
        ("#{1 2}", "#{2 1}"),
        ("[1 2]", "(1 2)"),
        ("nil", "nil"),
        ("1.0", "1.0"),
    ],
)
def test_what_an_object_holds_at_first_is_written_as_in_the_file(tmp_path: Path, initial: str, seen: str) -> None:
    file = tmp_path / "history.edn"
    file.write_text(f"{{:process 0, :type :invoke, :f :read}}{{:process 0, :type :ok, :f :read, :value {seen}}}")
    assert main([*COMMAND, "register", "--initial", initial, str(file)]) == 0
    assert main([*COMMAND, "register", "--initial", f"[{initial}]", str(file)]) == 1


@pytest.mark.parametrize(("initial", "code"), [("free", 1), ("held", 0), (":held", 0), ('"held"', 0)])
def test_a_mutex_is_held_at_first_in_any_notation(tmp_path: Path, initial: str, code: int) -> None:
    file = tmp_path / "history.edn"
    file.write_text("{:process 0, :type :invoke, :f :release}{:process 0, :type :ok, :f :release}")
    assert main([*COMMAND, "mutex", "--initial", initial, str(file)]) == code


@pytest.mark.parametrize(
    ("model", "initial", "function", "seen"),
    [
        ("kv", '""', "read", ""),
        ("register", "plain text", "read", "plain text"),
        ("counter", "5", "read", 5),
        ("queue", "[1, 2]", "dequeue", 1),
        ("stack", "[1, 2]", "pop", 2),
        ("set", "[1, 2]", "read", [2, 1]),
        ("mutex", "held", "release", True),
    ],
)
def test_what_an_object_holds_at_first(tmp_path: Path, model: str, initial: str, function: str, seen: Any) -> None:
    file = lines(tmp_path / "h", (0, "invoke", function, None), (0, "ok", function, seen))
    assert main([*COMMAND, model, file]) == 1
    assert main([*COMMAND, model, "--initial", initial, file]) == 0


def test_jepsens_history(tmp_path: Path) -> None:
    file = tmp_path / "history.edn"
    file.write_text(
        """{:process 0, :type :invoke, :f :write, :value [1 4], :time 10, :index 0}
           {:process :nemesis, :type :info, :f :start, :value nil}
           {:process 0, :type :ok, :f :write, :value [1 4], :time 11, :index 2}
           {:process 1, :type :invoke, :f :read, :value [1 nil], :time 12, :index 3}
           {:process 1, :type :ok, :f :read, :value [1 5], :time 13, :index 4}"""
    )
    assert main([*COMMAND, "cas-register", "--independent", str(file)]) == 1
    file.write_text(file.read_text().replace("[1 5]", "[1 4]"))
    assert main([*COMMAND, "cas-register", "--independent", str(file)]) == 0


def test_values_with_keys_are_not_taken_for_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "history.edn"
    file.write_text(
        """{:process 0, :type :invoke, :f :write, :value [1 4]}
           {:process 0, :type :ok, :f :write, :value [1 4]}
           {:process 1, :type :invoke, :f :read, :value [1 nil]}
           {:process 1, :type :ok, :f :read, :value [1 4]}"""
    )
    assert main([*COMMAND, "register", str(file)]) == 2
    assert capsys.readouterr().err == (
        f"{file}:3: invokes read with [1,null], a key and no value. Add --independent if each value is [key value].\n"
    )


def test_a_run_knows_its_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["engine=sim", "duration=100ms", "--quiet"]
    assert run(["experiment=raft_3nodes", *words, f"run.dir={tmp_path / 'kv'}"]) == 0
    counting = ["state_machine=counter", "workload=counter", "checker=none"]
    assert run(["experiment=raft_3nodes", *counting, *words, f"run.dir={tmp_path / 'counter'}"]) == 2
    chosen = "checker.linearizability.model=register"
    mix = "workload.mix={read: 1, write: 1, cas: 0, append: 0, delete: 0}"
    asked = ["experiment=raft_3nodes", "checker=linearizability", chosen, mix, f"run.dir={tmp_path / 'register'}"]
    assert run([*asked, *words]) == 0
    assert run(["experiment=hello", *words, f"run.dir={tmp_path / 'echo'}"]) == 0
    capsys.readouterr()

    folders = [str(tmp_path / model) for model in ("kv", "counter", "register")]
    assert main(["linearizability", *folders]) == 0
    costs = capsys.readouterr().out.splitlines()[::2]
    assert [line.split(", ")[0] for line in costs] == [f"{folder}: {Path(folder).name}" for folder in folders]
    assert main(["linearizability", str(tmp_path / "echo")]) == 2
    assert "echo: does not say what it is a history of. Give --model: " in capsys.readouterr().err


def test_the_folder_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert run(["experiment=raft_3nodes", "engine=sim", "duration=300ms", f"run.dir={folder}", "--quiet"]) == 0
    assert main([*COMMAND, "kv", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("verdict: valid — ")
    assert main([*COMMAND, "mutex", str(folder)]) == 2
    assert f"{folder}/history.arrow: operation " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["linearizability", "h"], "h: does not say what it is a history of. Give --model: register, kv, counter,"),
        (["linearizability", "."], "config.yaml: missing. Is this the folder of a run?"),
        ([*COMMAND, "kv", "--modl", "kv", "h"], "framework.check: unknown argument --modl. Did you mean '--model'?"),
        (
            [*COMMAND, "kv", "--budget", "x", "h"],
            "--budget: 'x' is not a whole number above 0. See python -m framework.check",
        ),
        ([*COMMAND, "kv"], "framework.check: the following arguments are required: FILE."),
        ([*COMMAND, "registr", "h"], "--model: unknown model 'registr'. Did you mean 'register'?"),
        (["linearisability", "--model", "kv", "h"], "Did you mean 'linearizability'?"),
        ([*COMMAND, "kv", "nowhere"], "nowhere: cannot be read (No such file or directory)."),
        ([*COMMAND, "kv", "."], ".: holds no history.arrow."),
        ([*COMMAND, "kv", "--budget", "0", "h"], "--budget: '0' is not a whole number above 0."),
        ([*COMMAND, "counter", "--initial", "x", "h"], '--initial: a counter cannot hold "x".'),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    assert complaint in told.err


def test_a_bad_line_is_named_with_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lines(tmp_path / "h.jsonl", (0, "invoke", "read", None), (0, "ok", "read", 1), (0, "ok", "read", 1))
    assert main([*COMMAND, "register", file]) == 2
    assert capsys.readouterr().err == (
        f"{file}:3: read of process 0 completes, but was never invoked. Is a part missing before it?\n"
    )


STALE = [
    "experiment=raft_storm",
    "protocol=raft_reads_at_once",
    "seed=9",
    "--config-dir",
    "experiments/planted_bugs/conf",
]


def test_a_story_names_the_nodes_that_answered_in_the_run_and_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*STALE, "--quiet", f"run.dir={tmp_path / 'run'}"]) == 1
    (told,) = (
        check["story"]
        for check in json.loads((tmp_path / "run/result.json").read_bytes())["checks"]
        if check["name"] == "linearizability"
    )
    assert "answered by n" in told[-1]
    capsys.readouterr()
    assert main([*COMMAND[:1], str(tmp_path / "run")]) == 1
    assert [line.strip() for line in capsys.readouterr().out.splitlines()[2:]] == [line.strip() for line in told]
