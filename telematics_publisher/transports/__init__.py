"""One small module for each transport."""
