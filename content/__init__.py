"""The tagged library: writing and reading it."""
