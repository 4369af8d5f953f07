"""The built-in balancers."""
