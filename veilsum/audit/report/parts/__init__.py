"""The ten parts of a report, in words and tables; each is filled from evidence or says so."""
