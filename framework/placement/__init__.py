"""Placement: which nodes hold a key or a shard. Where node actors run on machines is *scheduling*, and not meant
here."""
