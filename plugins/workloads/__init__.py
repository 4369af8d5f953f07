"""Workloads that come with Synod."""
