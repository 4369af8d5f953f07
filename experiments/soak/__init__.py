"""Seeds by the thousand: one experiment, many seeds, and what became of them."""
