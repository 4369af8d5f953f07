"""Verdicts: checks histories against sequential specifications, nodes against
invariants, replicas against each other."""
