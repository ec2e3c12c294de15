"""Evidence about privacy: made, checked, explained and tested."""
