"""A few of the planted bugs are caught by what should catch them; the whole table is `python -m experiments.planted_bugs`."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.planted_bugs.__main__ import main
from experiments.planted_bugs.campaign import lines_of, protocols
from experiments.planted_bugs.hunt import NO_PROGRESS, Catch, Ground, Hunt
from experiments.planted_bugs.mutant import Mutant, mutated
from experiments.planted_bugs.table import Line, markdown
from framework import Node
from framework.registry.checks import check_spec
from framework.registry.discovery import ROOT
from framework.registry.registry import load


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    ("mutant", "seeds", "by"),
    [
        ("raft_forgets_its_vote", 5, {"one vote a term"}),
        ("raft_runs_retries_again", 5, {"linearizability"}),
        ("raft_stands_once", 40, {NO_PROGRESS}),
        ("raft_votes_in_a_raised_term", 20, {"lease exclusivity"}),
        ("multipaxos_quorum_one_short", 5, {"chosen stays"}),
        ("multipaxos_never_asks", 5, {"convergence", NO_PROGRESS}),
        ("abd_stores_early", 5, {"promises kept"}),
        ("abd_reads_without_writing_back", 20, {"linearizability"}),
        ("paxos_promises_early", 5, {"promise given"}),
        ("paxos_misses_quorums", 5, {"agreement", "chosen for ever"}),
        ("two_phase_commit_forgets_its_table", 5, {"forgotten last"}),
        ("two_phase_commit_forces_no_collecting_record", 5, {"forgotten last"}),
        ("two_phase_commit_answers_clients_from_its_table", 5, {"agreement"}),
        ("two_phase_commit_votes_lazily", 5, {"kept vote"}),
        ("paxos_commit_accepts_early", 5, {"chosen by a quorum"}),
        ("paxos_commit_commits_with_one_missing", 5, {"unanimous", "agreement"}),
        ("paxos_commit_proposes_prepared_when_free", 5, {"unanimous", "agreement"}),
        ("paxos_commit_votes_lazily", 5, {"kept vote", "own ballot"}),
        ("paxos_commit_never_asks", 5, {"settled"}),
        ("service_never_counts_down", 5, {"outstanding counted"}),
        ("service_counts_down_at_the_sender", 5, {"outstanding counted"}),
        ("service_dispatches_duplicates", 5, {"outstanding counted"}),
        ("service_takes_old_reports_for_new", 5, {"reports in order"}),
        ("service_answers_every_answer", 5, {"answered once"}),
        ("service_names_the_awaited_server", 5, {"served as named"}),
        ("service_serves_the_latest", 5, {"first in, first out"}),
        ("service_serves_duplicates", 5, {"first in, first out"}),
        ("service_never_gives_up", 5, {"settled"}),
        ("lock_server_numbers_anew", 5, {"released by its holder", "tokens rise", "session numbers", "one owner"}),
        ("lock_server_forgets_its_queues", 5, {"requests kept"}),
        ("lock_server_revives_sessions", 5, {"session numbers"}),
        ("lock_server_ends_leases_early", 5, {"lease kept"}),
        ("lock_server_releases_for_anyone", 20, {"released by its holder"}),
        ("lock_server_serves_the_latest", 5, {"first come, first served"}),
        ("lock_server_shares_its_locks", 5, {"one owner"}),
        ("lock_server_executes_late_duplicates", 5, {"executed once"}),
        ("lock_server_never_ends_leases", 5, {NO_PROGRESS}),
        ("lock_server_store_registers_writes_only", 10, {"guarded_store"}),
        ("redlock_sets_what_is_set", 5, {"guarded_store"}),
        ("redlock_deletes_without_comparing", 5, {"guarded_store"}),
        ("redlock_counts_answers", 5, {"guarded_store"}),
        ("redlock_counts_from_the_last_reply", 10, {"guarded_store"}),
        ("redlock_releases_nothing", 5, {NO_PROGRESS}),
        ("three_phase_commit_goes_on_without_quorum", 5, {"agreement", "nonblocking"}),
        ("three_phase_commit_aborts_the_precommitted", 5, {"agreement"}),
        ("three_phase_commit_votes_lazily", 5, {"kept vote"}),
        ("heartbeat_believes_the_latest", 5, {"known incarnations"}),
        ("heartbeat_trusts_the_unheard", 5, {"settled"}),
        ("phi_accrual_uses_the_last_interval_only", 5, {"threshold"}),
        ("swim_asks_nobody", 5, {"asked first"}),
        ("swim_forgets_its_incarnation", 5, {"incarnation order"}),
        ("swim_revives_by_stale_news", 5, {"override order"}),
        ("swim_vouches_for_the_target", 5, {"ran when probed"}),
        ("swim_forgets_the_faulty", 5, {"settled"}),
        ("ricart_agrawala_compares_times_alone", 5, {"mutual exclusion"}),
        ("ricart_agrawala_forgets_the_deferred", 5, {"lock_progress"}),
        ("lamport_mutex_counts_earlier_messages", 5, {"mutual exclusion", "grant order"}),
        ("lamport_mutex_compares_times_alone", 5, {"mutual exclusion"}),
        ("token_ring_regenerates_in_the_same_epoch", 5, {"mutual exclusion", "one token", "grant order"}),
        ("token_ring_passes_the_token_while_inside", 5, {"mutual exclusion"}),
        ("token_ring_forgets_its_vows", 5, {"vow kept"}),
        ("maekawa_forgets_the_displaced", 10, {"lock_progress"}),
        ("maekawa_misses_quorums", 5, {"mutual exclusion"}),
        ("maekawa_grants_two", 5, {"mutual exclusion", "one permission"}),
    ],
)
def test_a_planted_bug_is_caught(mutant: str, seeds: int, by: set[str]) -> None:
    protocol = max((name for name in protocols() if mutant.startswith(f"{name}_")), key=len)
    _, line = lines_of(protocol, [mutant])
    assert line.mutant is not None
    caught = Ground(f"{protocol}_storm", mutant, line.mutant.needs).hunt(range(seeds)).catch
    assert caught is not None, f"{seeds} seeds found nothing wrong with {mutant}"
    assert caught.by in by, caught.reason


@pytest.mark.parametrize("protocol", protocols())
def test_the_protocol_itself_lives_through_the_same_storm(protocol: str) -> None:
    hunt = Ground(f"{protocol}_storm", protocol).hunt(range(5))
    assert hunt.catch is None, hunt.catch
    assert hunt.tried == 5


def test_the_printed_command_takes_the_run_again(tmp_path: Path) -> None:
    caught = Ground("raft_storm", "raft_wins_without_a_majority").hunt(range(20)).catch
    assert caught is not None
    words = [sys.executable, *shlex.split(caught.command)[1:], "--quiet", f"run.dir={tmp_path / 'again'}"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout.startswith(f"verdict: invalid — {caught.reason.split(' (')[0]}")


def test_an_experiment_may_lie_in_a_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    storm = ROOT / "experiments/planted_bugs/conf/experiment/raft_storm.yaml"
    (tmp_path / "experiment" / "gale.yaml").write_text(storm.read_text())
    words = ["--experiment", "gale", "--config-dir", str(tmp_path), "--only", "raft_forgets_its_vote"]
    assert main([*words, "--seeds", "5", "--bases", "1", "--processes", "1"]) == 0
    assert f"--config-dir {tmp_path}" in Ground("gale", "raft", config_dir=str(tmp_path)).command(3)


@pytest.mark.parametrize("protocol", protocols())
def test_each_mutant_is_a_protocol_that_says_what_is_wrong_with_it(protocol: str) -> None:
    itself = load().registered.protocols[protocol]
    mutants = [line.mutant for line in lines_of(protocol, ()) if line.mutant is not None]
    specs = mutated(itself, mutants)
    assert len({spec.name for spec in specs}) == len(specs)
    for spec, mutant in zip(specs, mutants, strict=True):
        check_spec(spec)
        assert mutant.wrong and mutant.source
        assert spec.invariants == itself.invariants and spec.recovers == itself.recovers
        assert mutant.node in spec.node_classes


class Wordless(Node):
    """Something is wrong with it."""


def test_a_docstring_must_say_where_the_protocol_forbids_it() -> None:
    with pytest.raises(AssertionError, match="Wordless: write a docstring like"):
        assert Mutant(Wordless).source


def caught(seed: int, by: str) -> Hunt:
    return Hunt(seed + 1, 0, 1.0, Catch(seed, by, f"{by}: so", "python"))


def test_the_table_tells_by_whom_and_after_how_many_seeds() -> None:
    _, mutant = lines_of("raft", ["raft_votes_twice"])
    mutant.hunts = [caught(2, "election safety"), caught(8, "linearizability"), caught(4, "election safety")]
    assert mutant.as_it_should_be
    assert mutant.cells()[3:] == ("election safety 2, linearizability 1", "5 (3–9)", "1.0")
    assert markdown([mutant]).splitlines()[2].startswith("| raft_votes_twice | A follower votes for whoever asks")


def test_a_mutant_that_most_hunts_miss_is_not_caught() -> None:
    _, mutant = lines_of("raft", ["raft_votes_twice"])
    mutant.hunts = [caught(2, "election safety"), Hunt(200, 0, 9.0, None), Hunt(200, 0, 9.0, None)]
    assert not mutant.as_it_should_be
    assert mutant.cells()[4] == "> 200"


def test_a_hunt_that_came_back_empty_handed_shows() -> None:
    _, mutant = lines_of("raft", ["raft_votes_twice"])
    mutant.hunts = [caught(2, "election safety"), caught(119, "election safety"), Hunt(200, 0, 9.0, None)]
    assert mutant.as_it_should_be
    assert mutant.cells()[4] == "120 (3–> 200)"


def test_the_protocol_itself_must_not_be_caught() -> None:
    itself = Line("raft", None, [Hunt(200, 3, 9.0, None)])
    assert itself.as_it_should_be
    assert itself.cells()[3] == "nothing, in 200 seeds, 3 unknown"
    itself.hunts.append(caught(7, "log matching"))
    assert not itself.as_it_should_be


def test_an_unknown_mutant_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "raft_vote_twice", "--seeds", "1"]) == 2
    assert (
        capsys.readouterr().err == "--only raft_vote_twice: raft has no such mutant. Did you mean 'raft_votes_twice'?\n"
    )
