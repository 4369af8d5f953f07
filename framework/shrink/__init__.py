"""Shrinking: finds a smaller run that fails in the same way as a failed simulated run (Zeller and Hildebrandt,
*Simplifying and Isolating Failure-Inducing Input*, 2002). The command is `python -m framework.shrink`.
"""
