"""Shrinking: from a simulated run that failed to a smaller one that fails in the same way (Zeller and Hildebrandt,
*Simplifying and Isolating Failure-Inducing Input*, 2002). The command is `python -m framework.shrink`.
"""
