"""Balancers: which server is given a request."""
