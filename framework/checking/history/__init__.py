"""Histories: the calls of clients, from a run's table or from the files of other systems."""
