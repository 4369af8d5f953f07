"""Kills the leader's process under load, time and again:
`python -m experiments.leader_kill [--trials 10] [--protocol NAME]`.

Exit 0 if the median stands within the bar, 2 if not, or if a run did not end valid.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.leader_kill.__main__")

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from experiments.leader_kill.gaps import Gap, gap_of
from experiments.measuring import measure
from experiments.studies import show
from framework.console.command import Parser, count, one_of
from framework.console.entry import carried_out

PROTOCOLS = ("raft", "multipaxos")
BAR_MS = 1_000
LOAD = (
    "experiment=raft_5nodes", "engine=ray", "clients=500", "workload.value_size=256", "workload.keys=10000", "duration=5s",
    "trace=history", "faults=crash", "faults.crash.target=leader", "faults.crash.for=1s",
)  # fmt: skip


def overrides(protocol: str, seed: int) -> tuple[str, ...]:
    """One trial. Leaders are killed at another moment of their heartbeat each time."""
    return (*LOAD, f"protocol={protocol}", f"seed={seed}", f"faults.crash.at={2000 + 37 * (seed % 27)}ms")


def main(arguments: Sequence[str]) -> int:
    return carried_out(lambda: _measure(_options(arguments)))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser("experiments.leader_kill", __doc__.split("\n\n")[0])
    parser.add_argument("--trials", type=count, default=10, help="trials of each protocol (default 10)")
    parser.add_argument("--protocol", type=one_of(PROTOCOLS), help="one protocol alone")
    return parser.read(arguments)


def _measure(options: argparse.Namespace) -> int:
    protocols = PROTOCOLS if options.protocol is None else (options.protocol,)
    gaps: dict[str, list[Gap]] = {protocol: [] for protocol in protocols}
    doubtful: list[str] = []
    with tempfile.TemporaryDirectory(prefix="leader-kill-") as scratch:
        for seed in range(1, options.trials + 1):
            for protocol in protocols:  # in turns, so that drift of the machine falls on all alike
                folder = Path(scratch) / f"{protocol}-{seed}"
                result = measure(overrides(protocol, seed), folder)
                gaps[protocol].append(gap_of(folder))
                if result["verdict"] != "valid":
                    doubtful.append(f"{protocol} seed {seed}: {result['verdict']}: {'; '.join(result['reasons'])}")
                print(f"{protocol} seed {seed}: {_ms(gaps[protocol][-1].outage)} ms", file=sys.stderr)
    rows = [_row(protocol, [gap.outage for gap in found]) for protocol, found in gaps.items()]
    show(
        "From the kill of the leader's process to the next committed operation, ms",
        ("protocol", "trials", "least", "median", "longest", "each"), rows,
    )  # fmt: skip
    if doubtful:
        print("these figures do not count, a run was not valid:", *doubtful, sep="\n")
        return 2
    medians = [statistics.median(gap.outage for gap in found) / 1e6 for found in gaps.values()]
    return 2 if max(medians) > BAR_MS else 0


def _row(protocol: str, outages: Sequence[int]) -> tuple[str, ...]:
    each = " ".join(_ms(outage) for outage in sorted(outages))
    middle = _ms(statistics.median(outages))
    return protocol, str(len(outages)), _ms(min(outages)), middle, _ms(max(outages)), each


def _ms(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e6:,.0f}"
