"""Load: what clients do, and when."""
