"""Faults: what can go wrong, when it does, and the ledger of what really happened."""
