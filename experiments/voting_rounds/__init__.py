"""How many ballots Paxos and how many terms Raft needs, against two claims about them."""
