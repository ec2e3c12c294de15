"""Several coordinators over one database: one leads, and only it may answer and write."""
