"""Shrinking: from a simulated run that failed to a smaller one that fails in the same way. The command is `python -m framework.shrink`."""
