"""Placements that come with Synod."""
