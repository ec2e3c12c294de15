"""How a member begins and joins: keys made here, the roster compared and signed."""
