"""The command `python -m framework.new`: the files of a new protocol."""
