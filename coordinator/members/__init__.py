"""Members: the roster's versions, letters between them, and how many there is room for."""
