"""The demo: the whole system on one machine, watched, compared with the truth, reported."""
