"""Benchmarks: rates, WAL and wire bytes, each beside a baseline measured in the same run.

`make bench` runs them. They report ratios and never decide anything: machines differ, and a timed
test is a flaky one. The server is as durable here as it is by default.
"""
