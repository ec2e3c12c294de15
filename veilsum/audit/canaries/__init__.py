"""An empirical audit: canaries in the data, and what the opened sums tell of who was there."""
