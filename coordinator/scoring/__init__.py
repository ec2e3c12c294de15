"""What sites gave to a round: what they state of it, and the scores that others sign."""
