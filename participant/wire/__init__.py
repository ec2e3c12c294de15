"""The wire of a site: its connections, what it says over them, and why one failed."""
