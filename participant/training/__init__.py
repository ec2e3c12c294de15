"""Training on the site's own data, in a process of its own: DP-SGD, sampling, noise, clipping."""
