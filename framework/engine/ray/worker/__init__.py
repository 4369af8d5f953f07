"""A worker: one process of a run, which endpoints nodes or clients in one event loop."""
