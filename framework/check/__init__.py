"""The command `python -m framework.check`: the verdict on recorded histories of any system."""
