"""Tests of the parts of load balancing."""
