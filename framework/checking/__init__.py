"""Verdicts: checks of histories against specifications, nodes against invariants, and replicas against each other."""
