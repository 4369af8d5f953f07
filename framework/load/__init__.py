"""Load: the operations of clients, and their timing."""
