"""From a simulated run that failed to a smaller one that still fails.

Delta debugging (Zeller and Hildebrandt, 2002) over a config: one dimension after another is made smaller as long as some
seed still shows the same kind of failure. Another seed may be taken, since whatever is taken away shifts what happens.
"""
