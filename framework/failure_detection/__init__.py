"""Shared parts of failure detectors: the detector as a mounted node, its client, and its invariants."""
