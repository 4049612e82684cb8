"""Servers for trials and tests: found where there are some, brought along where there are none."""
