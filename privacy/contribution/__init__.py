"""What each site gave to a round, from the few scalars that its scheme opens."""
