"""Many calls on many processes: a pool of workers on this machine or on a Ray cluster, with limits on what one call may take.

A worker that hangs, dies or runs out of memory costs the one call that it was at. Nothing here knows what is called.
"""
