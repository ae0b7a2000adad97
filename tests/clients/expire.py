#!/usr/bin/env python
"""Ends the session of a token now, as thirty days would; the settings say in which database."""

import asyncio
import sys
from datetime import UTC, datetime

from api.settings import load
from core import database
from members import identity
from members.models import Session


async def _expire(token: str) -> int:
    async with database.opened(load().database_url):
        session = Session.filter(token_hash=identity.hashed(token))
        return await session.update(expires_at=datetime.now(UTC))


if asyncio.run(_expire(sys.argv[1])) != 1:
    sys.exit("there is no such session")
