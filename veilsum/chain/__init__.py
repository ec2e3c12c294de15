"""The one door to a chain: artefacts, keys and signers, endpoints, journal, deployment."""
