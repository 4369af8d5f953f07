"""Verdicts: histories held against sequential specifications, invariants held against nodes, replicas against each other."""
