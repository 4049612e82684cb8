"""What can be said of an edge before it runs: of its way to core, its journals, its streams."""
