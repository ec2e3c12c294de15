"""Who adds up: processes of this machine, or a Ray cluster."""
