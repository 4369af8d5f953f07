"""Tests of the node that mounts a failure detector."""
