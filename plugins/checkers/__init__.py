"""Checkers of histories and finished runs."""
