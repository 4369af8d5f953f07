"""Shared parts of atomic commitment protocols: transactions, their client, and their invariants."""
