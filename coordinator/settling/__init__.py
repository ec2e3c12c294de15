"""Settlement: what the contract is told of a programme, and the telling."""
