"""Speaks to a running server the way a front-end does."""

import asyncio
import time
from typing import Any, Self

import httpx

from api.settings import Settings

PERSON = "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 MicroMessenger/8.0.30"
PATIENCE_SECONDS = 20


class Api:
    """GraphQL and plain HTTP against one server."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{settings.port}",
            headers={"user-agent": PERSON},
            timeout=30,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.http.aclose()

    async def post(self, query: str, token: str | None = None, **variables: Any) -> httpx.Response:
        """The raw answer to a GraphQL request."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        body = {"query": query, "variables": variables}
        return await self.http.post("/graphql", json=body, headers=headers)

    async def ask(self, query: str, token: str | None = None, **variables: Any) -> Any:
        """The value of the only root field; fails on top-level errors."""
        answer = (await self.post(query, token, **variables)).json()
        assert "errors" not in answer, answer["errors"]
        [value] = answer["data"].values()
        return value

    async def refused(self, query: str, token: str | None = None, **variables: Any) -> str:
        """The code of the first top-level error; fails where there is none."""
        answer = (await self.post(query, token, **variables)).json()
        assert answer.get("errors"), answer
        return answer["errors"][0]["extensions"]["code"]

    async def click(self, code: str, **headers: str) -> httpx.Response:
        """Follows a link, not further than its redirect, as a new visitor."""
        self.http.cookies.clear()
        return await self.http.get(f"/r/{code}", headers=headers)

    async def visit(self, code: str) -> str:
        """Follows a link as a new visitor; the visitor id."""
        response = await self.click(code)
        assert response.status_code == 302, response.text
        return httpx.URL(response.headers["location"]).params["vid"]

    async def decided(self, token: str, source: str, external_id: str, kind: str = "ORDER") -> Any:
        """The conversion, once a worker has decided it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = await self.ask(
                CONVERSION, token, type=kind, source=source, externalId=external_id
            )
            if found["status"] != "PENDING":
                return found
            await asyncio.sleep(0.02)
        raise AssertionError(f"{external_id} was not decided within {PATIENCE_SECONDS} s")


CONVERSION = """
query ($type: ConversionType!, $source: String!, $externalId: String!) {
  conversion(type: $type, source: $source, externalId: $externalId) {
    id type source externalId status amountMinor refundedMinor occurredAt
    member { id displayName }
    order { externalId }
    attributions {
      level weightPpm promoter { id displayName } link { code } program { code }
      commissions { asset amount reversed rule { version rateBps } }
    }
    explanation { verdict detail touchedAt link { code } promoter { id } }
  }
}"""

REGISTER = """
mutation ($input: MemberRegisterInput!) {
  memberRegister(input: $input) {
    member { id displayName email } token expiresAt visitorId errors { code message field }
  }
}"""

ENSURE = """
mutation ($input: MemberEnsureInput!) {
  memberEnsure(input: $input) {
    member { id displayName } token visitorId errors { code message field }
  }
}"""

TOUCH = """
mutation ($input: TouchRecordInput!) {
  touchRecord(input: $input) { visitorId errors { code message field } }
}"""

ORDER = """
mutation ($input: OrderRecordInput!) {
  orderRecord(input: $input) {
    conversion { id status externalId amountMinor member { id } }
    replayed errors { code message field }
  }
}"""

REFUND = """
mutation ($input: RefundRecordInput!) {
  refundRecord(input: $input) {
    conversion { id type status externalId amountMinor order { externalId } }
    replayed errors { code message field }
  }
}"""

VIEWER = """
{
  viewer {
    id displayName email roles
    tier { code }
    tierHistory { nodes { from { code } to { code } reason metrics } }
    metrics { spendMinor }
    balances { asset currency pending available held paid }
    ledger { totalCount nodes { kind account amount } }
  }
}"""
