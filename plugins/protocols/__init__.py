"""Protocols that come with Synod."""
