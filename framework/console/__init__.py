"""What a person at a terminal types and sees: the command line, the live progress, the summary of a run."""
