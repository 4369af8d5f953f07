"""Engines: who drives the nodes."""
