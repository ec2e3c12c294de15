"""A whole federation on one machine, in real processes: the demo and the bench run on it."""
