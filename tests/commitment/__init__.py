"""Tests of what protocols of atomic commitment share."""
