"""The whole system on one machine: servers, provider simulator, fleets, demo, trials."""
