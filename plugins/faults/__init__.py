"""Faults that come with Synod."""
