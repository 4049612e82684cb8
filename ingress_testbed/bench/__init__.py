"""Benchmarks: rows a second and WAL bytes a row, each beside a bare COPY measured in the same run.

`make bench` runs them. They report ratios and never decide anything: machines differ, and a timed
test is a flaky one. The server is as durable here as it is by default.
"""
