"""Parts of replicated protocols: state machines, sessions, quorums, administration."""
