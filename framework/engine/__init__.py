"""Engines, which drive the nodes of a run."""
