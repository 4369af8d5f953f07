"""Sequential models of the objects that histories are checked against."""
