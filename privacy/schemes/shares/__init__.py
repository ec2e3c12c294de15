"""The scheme `shares`: three components modulo 2^64, of which each of three seats holds two."""
