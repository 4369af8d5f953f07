"""Checkers: what is asked of a history."""
