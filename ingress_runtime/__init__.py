"""What every process needs and nobody's domain: settings, logs, metrics, shutdown, commands."""
