"""Smaller quorums of phase 2: what they save, and what phase 1 pays for it."""
