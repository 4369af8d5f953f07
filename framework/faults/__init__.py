"""Faults: the actions, the plans that time them, and the ledger of their actual effects."""
