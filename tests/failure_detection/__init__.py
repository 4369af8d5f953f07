"""Tests of what failure detectors share."""
