"""Driving again what has been driven before.

A simulated run is driven again whole: its config.yaml says all, so the same events must come out (`sim_replay`). Of a
run on Ray each node is driven again by itself, from the inputs that the trace recorded, and what it then sends, notes,
completes and commits is held against what the trace recorded of that (`node_driver`, `ray_replay`). Either way a
difference means that something besides seed, config and inputs had a part in what the code did.
"""
