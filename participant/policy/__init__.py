"""The site's own policy, the last word: what it accepts, approves, and how fast it sends."""
