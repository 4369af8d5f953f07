"""The terminal interface: the command line, the live progress, the summary of a run."""
