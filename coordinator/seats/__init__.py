"""Rounds whose updates are shared between three seats: what each is given, and what it states."""
