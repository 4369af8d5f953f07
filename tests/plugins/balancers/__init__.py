"""Tests of the built-in balancers."""
