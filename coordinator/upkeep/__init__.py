"""What is stored, for how long, whether it is whole, and its way into a backup and back."""
