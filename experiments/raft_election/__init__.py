"""Elections in the simulator, beside the figures of Raft's authors."""
