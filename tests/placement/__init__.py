"""Tests of the interface of placements, of hashes and of partitioners."""
