"""The report on a release: numbers from evidence, the same on a page, as PDF and as JSON."""
