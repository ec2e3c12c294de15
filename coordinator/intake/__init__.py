"""Contributions on their way in: verified at the door, durable before they are acknowledged."""
