"""Message delays and messages of a decision, counted from the trace."""
