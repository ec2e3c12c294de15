"""Protection schemes: three roles each, one law, and nothing loaded that is not asked for."""
