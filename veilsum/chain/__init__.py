"""The settlement contracts as the rest of Veilsum meets them: artefacts, keys, endpoint."""
