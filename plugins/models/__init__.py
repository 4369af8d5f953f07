"""Sequential models: what the objects do that histories are of."""
