"""The command `python -m framework.new`: a new plugin of any kind, with its experiment and its tests."""
