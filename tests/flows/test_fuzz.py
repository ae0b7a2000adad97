"""Documents that nobody wrote, by every role: answered or refused, and never broken."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from core import database
from members.models import Role
from tests import factories
from tests.api.test_codes import TOP_LEVEL
from tests.served import Server, served

SCHEMA = schemathesis.graphql.from_path(Path(__file__).parents[2] / "schema.graphql")
# Of each field by each role: 2 are some 160 requests for each role, 25 some 2,000.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))
ENDING = "Mutation.signOut"  # after which the others would be refused
ROLES = (None, *Role)

LIMITED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)


@pytest.fixture(params=ROLES, ids=lambda role: role or "nobody")
async def asked(
    request: pytest.FixtureRequest, sqlite_url: str
) -> AsyncIterator[tuple[Server, str | None]]:
    """A server with a little of everything, and the token of somebody with this role."""
    async with database.opened(sqlite_url):
        await factories.stage()
        await factories.piece("tea")
        role = request.param
        token = (await factories.person("fuzz", role)).token if role else None
    async with served(sqlite_url) as server:
        yield server, token


def strange(response: httpx.Response) -> bool:
    """Whether an answer is none that clients were promised."""
    answer = response.json()
    codes = {each["extensions"]["code"] for each in answer.get("errors", [])}
    known = codes <= TOP_LEVEL - {"INTERNAL_SERVER_ERROR"}
    return response.status_code >= 500 or not known or not (codes or "data" in answer)


@pytest.mark.slow
def test_whatever_is_asked_the_answer_is_in_order(asked: tuple[Server, str | None]) -> None:
    server, token = asked
    headers = {"authorization": f"Bearer {token}"} if token else {}
    broken: list[tuple[str, str]] = []
    with httpx.Client(base_url=server.address, headers=headers, timeout=30) as http:

        def ask(case: Any) -> None:
            response = http.post("/graphql", json={"query": case.body})
            if strange(response):
                broken.append((case.body, response.text[:500]))

        for found in SCHEMA.get_all_operations():
            operation = found.ok()
            if operation.label != ENDING:
                LIMITED(given(case=operation.as_strategy())(ask))()
        assert http.get("/health/ready").status_code == 200
    assert broken == []
