"""The node model: handlers in, effects out. Imports nothing heavy and nothing else of Synod."""
