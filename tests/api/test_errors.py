"""Unexpected errors stay inside: callers get a code and the id to quote, the log gets the rest."""

import importlib
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from api.errors import ErrorCode
from core import database
from core.errors import Mistake
from members.models import Role
from tests import factories
from tests.client import ORDER, Api

CONTENTS = "{ contents { totalCount } }"
LIBRARY = (
    *("content_tag", "version_media", "version_tag", "version_text", "content_version"),
    "content_slug",
    "content",
)


def mistakes_of_the_rooms() -> Iterator[type[Mistake]]:
    for name in ("core.errors", "members.errors", "content.errors", "referral.errors"):
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and issubclass(value, Mistake):
                yield value


def test_every_mistake_of_a_room_has_a_code_that_the_api_knows() -> None:
    known = {each.value for each in ErrorCode}
    assert {mistake.code for mistake in mistakes_of_the_rooms()} <= known


async def test_an_unexpected_error_is_masked_and_logged_with_its_request(live: Api) -> None:
    for table in LIBRARY:
        await database.execute(f"DROP TABLE {table}")

    with capture_logs() as logged:
        response = await live.post(CONTENTS)

    [error] = response.json()["errors"]
    assert response.json()["data"] is None
    assert error["message"] == "Something went wrong on our side; quote the request id to support."
    assert error["extensions"] == {
        "code": "INTERNAL_SERVER_ERROR",
        "requestId": response.headers["x-request-id"],
    }
    assert not any(word in response.text for word in ("content_tag", "table", "relation", "SELECT"))
    [event] = [each for each in logged if each["event"] == "unexpected error"]
    assert event["log_level"] == "error"
    assert "content" in str(event["exc_info"])


async def test_an_unexpected_error_in_a_mutation_writes_nothing(live: Api) -> None:
    shop = await factories.person("shop", Role.SERVICE)
    await database.execute("DROP TABLE outbox")
    with capture_logs():
        code = await live.refused(
            ORDER, shop.token, input={"source": "shop", "externalId": "A-1", "amountMinor": 1}
        )
    assert code == "INTERNAL_SERVER_ERROR"
    assert await database.rows("SELECT id FROM conversion") == []


@pytest.mark.parametrize("path", ["/graphql", "/c/tea"])
async def test_an_unexpected_error_outside_a_resolver_names_its_request_too(
    live: Api, path: str
) -> None:
    for table in (*LIBRARY, "session"):
        await database.execute(f"DROP TABLE {table}")
    with capture_logs():
        response = await live.http.get(
            path, params={"query": CONTENTS}, headers={"authorization": "Bearer token"}
        )
    assert response.status_code == 500
    assert response.headers["x-request-id"]
    if path == "/graphql":
        [error] = response.json()["errors"]
        assert error["extensions"] == {
            "code": "INTERNAL_SERVER_ERROR",
            "requestId": response.headers["x-request-id"],
        }
