"""The command `python -m framework.run`: one run, or a sweep."""
