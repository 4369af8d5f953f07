"""Durable state of a worker's nodes: SQLite, its commits, and what crashes make of them."""
