"""The wire: who may call what, messages to values and back, and how much may be under way."""
