"""The mathematics and the formats: no clock, no socket, no file, no log."""
