"""What snapshots do for Raft: followers that were away, disks, restarts, and what taking one costs."""
