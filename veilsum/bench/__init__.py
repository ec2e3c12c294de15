"""Measurements: what a scheme costs on this machine, beside what others use."""
