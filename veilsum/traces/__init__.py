"""What a process did and for how long, sent to a collector that its operator has named."""
