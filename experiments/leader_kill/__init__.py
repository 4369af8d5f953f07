"""How long a replicated store stands still when the process of its leader is killed under load."""
