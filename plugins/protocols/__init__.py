"""Protocols: what nodes and clients do."""
