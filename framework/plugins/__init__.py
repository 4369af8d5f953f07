"""The command `python -m framework.plugins`: lists the installed plugins with their settings."""
