"""What openers do: they make keys, open sums, and seal models; here it is kept and checked."""
