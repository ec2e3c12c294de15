"""A seat under `shares`: it checks, judges and adds two components of three, and opens none."""
