"""Tests of the lock server."""
