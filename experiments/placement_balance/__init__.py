"""How evenly placements share ids, and what they cost."""
