"""Linearizability: whether a single object could have executed the operations in some order, within their intervals."""
