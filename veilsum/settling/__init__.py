"""`veilsum settle`: a programme looked at, claimed from, bonded for, and challenged by hand."""
