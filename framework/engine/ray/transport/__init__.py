"""Frames between workers: a TCP mesh, or Ray actor calls."""
