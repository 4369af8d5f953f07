"""Durable state of a worker's nodes: SQLite, its commits, and the effects of crashes on them."""
