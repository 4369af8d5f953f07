"""How many ids move when nodes come and go."""
