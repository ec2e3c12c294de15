"""Evidence of what was spent and released: a bundle in one file, and its offline check."""
