"""What the checker costs, against its budgets."""
