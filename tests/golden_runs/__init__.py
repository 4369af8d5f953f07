"""Simulated runs whose every event is pinned: what moves code must not move them.

Forty runs: each protocol, without faults and under crashes, partitions and chaos, each with a disk that takes no time and
with one that takes 2 ms, where a step takes time too. Of each stand in `digests.json` a digest of the events' `(time, seq, cause, size, kind)`
and one of the history's numbers and outcomes. Names have no part in them, so that renaming changes nothing. A change to a
rule of the simulator changes some: then `python -m tests.golden_runs` writes them anew, and its commit says which rule.
"""
