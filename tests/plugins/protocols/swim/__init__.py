"""Tests of SWIM."""
