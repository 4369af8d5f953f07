"""Tests of failure detection by heartbeats."""
