"""Has the tests of this room share one PostgreSQL database: they fill its outbox alone.

Copying a database for each of them would take most of the time that they have.
"""

import asyncio
import uuid
from collections.abc import Iterator

import pytest

from tests.conftest import POSTGRES
from tests.core import elsewhere

ALONE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture(scope="session")
def shared_postgres(postgres_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database for the whole run."""
    name = f"wellspring_core_{uuid.uuid4().hex[:12]}"
    server = f"{POSTGRES}/postgres"
    asyncio.run(elsewhere.ask(server, f"CREATE DATABASE {name} TEMPLATE {postgres_template}"))
    yield f"{POSTGRES}/{name}"
    asyncio.run(elsewhere.ask(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def postgres_url(shared_postgres: str) -> str:
    """The shared PostgreSQL database with nobody inside and its outbox empty."""
    asyncio.run(elsewhere.ask(shared_postgres, ALONE))
    for table in ("outbox", "webhook_delivery", "webhook_endpoint"):
        asyncio.run(elsewhere.ask(shared_postgres, f"DELETE FROM {table}"))
    return shared_postgres
