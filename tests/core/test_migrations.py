"""What the migrations of the core make of rows that were there before."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core import database, retention
from core.webhooks import WebhookDelivery
from tests import former

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(params=former.KINDS)
async def before(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A database as it was before anything was forgotten."""
    async with former.opened(request.param, tmp_path, "core", "0007_idempotency") as url:
        yield url


async def test_deliveries_that_ended_before_are_forgotten_and_open_ones_are_not(
    before: str,
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
