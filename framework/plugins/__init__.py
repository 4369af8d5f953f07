"""The command `python -m framework.plugins`: what is installed, with its settings."""
