"""What a process counts and measures of itself, for an operator's own Prometheus to fetch."""
