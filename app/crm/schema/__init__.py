"""Bringing the database to the schema of this version while other versions use it."""
