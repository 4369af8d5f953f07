"""What both engines share: each part is given the engine's ports once, and called plainly afterwards."""
