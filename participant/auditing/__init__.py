"""The auditor: it adds a round's contributions again, and signs one sum or none."""
