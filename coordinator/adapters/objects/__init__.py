"""Where large things lie: files of this machine, or a bucket."""
