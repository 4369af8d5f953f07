"""Replay of recorded runs.

A simulated run is replayed whole: its config.yaml determines it, so the same events must result (`sim_replay`). For a
run on Ray each node is replayed by itself, from the inputs recorded in the trace; its sends, notes, completions and
commits are compared with the recorded ones (`node_driver`, `ray_replay`). In both cases a difference means that the
code depended on something other than seed, config and inputs.
"""
