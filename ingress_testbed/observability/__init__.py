"""Dashboards as code, a linter that holds them and the alerts to the metrics, and a real Prometheus.

Of a checkout only: the wheel leaves this package out, as it needs what developers install.
"""
