"""The coordinator's database: PostgreSQL or SQLite, under one law."""
