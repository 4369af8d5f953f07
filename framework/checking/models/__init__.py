"""Sequential specifications of the objects that histories are checked against."""
