"""Compares everything that is stored before and after what must not write."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from core import database

# For what no database and no broker has a part in.
on_sqlite_alone = pytest.mark.parametrize("settings", ["embedded"], indirect=True)

# All but the counters, which workers bring up to date in their own time.
TABLES = (
    "outbox",
    "kept_answer",
    "member",
    "member_role",
    "session",
    "password",
    "wechat_identity",
    "api_key",
    "payee",
    "customer_ref",
    "tier",
    "standing",
    "tier_change",
    "ledger_account",
    "ledger_transfer",
    "ledger_entry",
    "audit_entry",
    "webhook_endpoint",
    "webhook_delivery",
    "tag",
    "tag_slug",
    "tag_ancestor",
    "content",
    "content_slug",
    "content_version",
    "version_tag",
    "version_media",
    "content_tag",
    "media",
    "program",
    "rule_version",
    "reward_rule",
    "enrollment",
    "suspension",
    "binding",
    "link",
    "share",
    "visitor",
    "touch",
    "conversion",
    "attribution",
    "commission",
    "touch_verdict",
    "payout",
    "risk_case",
    "risk_item",
)


async def counts() -> dict[str, int]:
    """How many rows each table holds."""
    found = await database.rows(
        " UNION ALL ".join(f"SELECT '{name}' AS name, COUNT(*) AS n FROM {name}" for name in TABLES)
    )
    return {row["name"]: row["n"] for row in found}


async def everything() -> dict[str, list[dict[str, Any]]]:
    """Every row of every table."""
    return {name: await database.rows(f"SELECT * FROM {name} ORDER BY id") for name in TABLES}


@asynccontextmanager
async def nothing_written() -> AsyncIterator[None]:
    """Fails when a row was added, changed or taken away in the block; workers must be idle."""
    before = await everything()
    yield
    after = await everything()
    assert {name: after[name] for name in TABLES if after[name] != before[name]} == {}
