"""Tests of the placements that come with Synod."""
