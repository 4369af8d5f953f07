"""A worker: one process of a run, which hosts nodes or clients in one event loop."""
