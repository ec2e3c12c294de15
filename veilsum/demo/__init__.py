"""The demo: one coordinator and four hospitals on one machine, with real patients."""
