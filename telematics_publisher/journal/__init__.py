"""The journal: every frame on disk before it is sent, and what became of each."""
