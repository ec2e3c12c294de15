"""Scores of updates that nobody opens: what a site states of its own, what openers make of it."""
