"""The trace and the history of a run in Arrow files: every event with its cause, and the operations that clients saw.

`schema` has the columns and the shapes of payloads, `recorder` writes, `reader` opens a run folder.
This module imports nothing, so that a node process loads Arrow only when it records.
"""
