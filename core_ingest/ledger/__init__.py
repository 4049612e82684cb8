"""The ledger: every number that a publisher handed out is settled in the end, and counted once."""
