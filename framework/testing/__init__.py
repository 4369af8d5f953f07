"""For authors of protocols: the conformance kit, and scripts of steps with their golden output."""
