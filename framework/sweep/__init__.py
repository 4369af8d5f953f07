"""Sweeps: many runs on a pool of workers, on this machine or on a Ray cluster, with limits for each run.

A worker that hangs, dies or runs out of memory affects only the call that it was making.
"""
