"""Gives the tests of this room their databases."""

from tests.members.fixtures import embedded, postgres_url, shared_postgres

__all__ = ["embedded", "postgres_url", "shared_postgres"]
