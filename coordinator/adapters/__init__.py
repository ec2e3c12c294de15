"""What the coordinator needs of the world: storage, keys, the network."""
