"""Trials in a hostile world: processes are killed, databases fail, too much arrives."""
