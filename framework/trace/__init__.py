"""The trace: every event of a run with its cause, and what the clients saw, in Arrow files.

`schema` holds the columns and the payloads' shapes, `recorder` writes, `reader` opens a run folder again.
Nothing is imported here, so that a node process pays for Arrow only when it records.
"""
