"""Tests of `framework.locking`."""
