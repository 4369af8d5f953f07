"""Plugins: hooks, specs, discovery."""
