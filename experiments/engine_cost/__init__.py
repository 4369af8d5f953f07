"""What the engines cost, against their budgets."""
