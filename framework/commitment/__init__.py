"""What protocols of atomic commitment share: transactions, their client, and the properties that must hold."""
