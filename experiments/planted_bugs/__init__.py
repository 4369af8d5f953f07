"""Protocols broken on purpose, one mistake each, and the table of what catches them."""
