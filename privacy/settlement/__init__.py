"""What settles rounds: the commitment of one, what it pays, and proofs that a sum is false."""
