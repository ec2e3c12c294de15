"""A round: its state, its steps, and what must hold of each; most of it pure."""
