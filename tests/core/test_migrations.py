"""What the migrations of the core make of rows that were there before."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget

from core import database, retention
from core.webhooks import WebhookDelivery
from tests.conftest import POSTGRES, require
from tests.core import elsewhere

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def before(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[None]:
    """A database as it was before anything was forgotten."""
    name = f"wellspring_before_{uuid.uuid4().hex[:12]}"
    url = f"sqlite://{tmp_path / 'before.db'}"
    if request.param == "postgres":
        require("postgres")
        url = f"{POSTGRES}/{name}"
        await elsewhere.ask(f"{POSTGRES}/postgres", f"CREATE DATABASE {name}")
    async with database.opened(url):
        executor = MigrationExecutor(database.client(), database.config(url)["apps"])
        await executor.migrate([MigrationTarget("core", "0007_idempotency")])
        yield
    if request.param == "postgres":
        await elsewhere.ask(f"{POSTGRES}/postgres", f"DROP DATABASE {name} WITH (FORCE)")


async def test_deliveries_that_ended_before_are_forgotten_and_open_ones_are_not(
    before: None,
) -> None:
    await database.rows(
        """INSERT INTO webhook_endpoint (id, url, events, salt, created_at)
        VALUES (1, 'https://hooks.example', '[]', '', $1)""",
        NOW,
    )
    delivered, given_up, open_still = (NOW + DAY, None), (None, None), (None, NOW)
    for delivered_at, next_at in (delivered, given_up, open_still):
        await database.rows(
            """INSERT INTO webhook_delivery (endpoint_id, event, payload, created_at, attempts,
                delivered_at, next_at) VALUES (1, 'e', '', $1, 1, $2, $3)""",
            NOW,
            delivered_at,
            next_at,
        )
    assert "core.0008_retention" in await database.migrate()
    found = WebhookDelivery.all().order_by("id").values_list("ended_at", flat=True)
    assert await found == [NOW + DAY, NOW, None]
    retention.keep(DAY)
    try:
        assert await retention.work(NOW + DAY)
        assert await found == [NOW + DAY, None]
    finally:
        retention.keep(None)
