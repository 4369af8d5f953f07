"""Network models: the links between nodes."""
