"""The parts that both engines share. Each is given the engine's ports once, and called plainly afterwards."""
