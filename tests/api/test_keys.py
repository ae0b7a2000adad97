"""API keys over real HTTP: who makes them, what they open, and that revoked ones stop."""

from typing import Any

from api.nodes import to_id
from members.models import Role
from tests import factories
from tests.api.books import nothing_written, on_sqlite_alone
from tests.client import CONVERSION, ENSURE, ORDER, REFUND, Api

CREATE = """
mutation ($name: String!, $sources: [String!]) {
  apiKeyCreate(name: $name, sources: $sources) {
    apiKey { id name sources createdAt lastUsedAt } secret errors { code message field }
  }
}"""
REVOKE = """
mutation ($id: ID!) {
  apiKeyRevoke(id: $id) { apiKey { id } secret errors { code field } }
}"""
KEYS = "{ apiKeys { id name sources lastUsedAt } }"
FORBIDDEN = [{"code": "FORBIDDEN", "field": ["source"]}]


async def create(live: Api, sources: list[str] | None = None, name: str = "shop") -> Any:
    admin = await factories.person("admin", Role.ADMIN)
    made = await live.ask(CREATE, admin.token, name=name, sources=sources)
    assert made["errors"] == []
    return made


def order(source: str = "tea", number: str = "A-1") -> dict[str, Any]:
    return {"source": source, "externalId": number, "amountMinor": 500}


def told(payload: Any) -> list[dict[str, Any]]:
    return [{"code": error["code"], "field": error["field"]} for error in payload["errors"]]


async def test_a_key_opens_what_a_service_may_until_it_is_revoked(live: Api) -> None:
    made = await create(live)
    admin = await factories.person("admin", Role.ADMIN)
    assert made["apiKey"]["lastUsedAt"] is None
    secret = made["secret"]
    accepted = await live.ask(ORDER, secret, input=order())
    assert accepted["errors"] == []
    assert (await live.decided(secret, "tea", "A-1"))["externalId"] == "A-1"
    [listed] = await live.ask(KEYS, admin.token)
    assert listed["lastUsedAt"] is not None

    assert await live.ask(REVOKE, admin.token, id=made["apiKey"]["id"]) == {
        "apiKey": {"id": made["apiKey"]["id"]},
        "secret": None,
        "errors": [],
    }
    response = await live.post(ORDER, secret, input=order(number="A-2"))
    assert response.status_code == 401
    assert await live.ask(KEYS, admin.token) == []


async def test_a_key_with_sources_speaks_for_them_alone(live: Api) -> None:
    secret = (await create(live, ["tea"]))["secret"]
    assert (await live.ask(ORDER, secret, input=order()))["errors"] == []
    await live.decided(secret, "tea", "A-1")
    refund = {"source": "tea", "externalId": "R-1", "orderExternalId": "A-1", "amountMinor": 1}
    customer = {"source": "tea", "customerRef": "c-1"}
    assert (await live.ask(REFUND, secret, input=refund))["errors"] == []
    assert (await live.ask(ENSURE, secret, input=customer))["errors"] == []
    await live.decided(secret, "tea", "R-1", "REFUND")
    other = {"source": "cups"}
    async with nothing_written():
        assert told(await live.ask(ORDER, secret, input=order("cups"))) == FORBIDDEN
        assert told(await live.ask(REFUND, secret, input=refund | other)) == FORBIDDEN
        assert told(await live.ask(ENSURE, secret, input=customer | other)) == FORBIDDEN


@on_sqlite_alone
async def test_a_key_sees_what_it_recorded_and_what_is_of_its_sources(live: Api) -> None:
    stage = await factories.stage()
    await live.ask(ORDER, stage.shop.token, input=order("tea"))
    await live.ask(ORDER, stage.shop.token, input=order("cups"))
    limited = (await create(live, ["tea"], "limited"))["secret"]
    free = (await create(live, None, "free"))["secret"]
    await live.ask(ORDER, free, input=order("pots"))
    kind = {"type": "ORDER", "externalId": "A-1"}
    seen = {
        name: {
            source
            for source in ("tea", "cups", "pots")
            if await live.ask(CONVERSION, secret, source=source, **kind)
        }
        for name, secret in (("limited", limited), ("free", free), ("shop", stage.shop.token))
    }
    assert seen == {"limited": {"tea"}, "free": {"pots"}, "shop": {"tea", "cups"}}


@on_sqlite_alone
async def test_a_key_that_cannot_be_is_refused_and_nothing_is_written(live: Api) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    expected = {
        (" ", None): ("REQUIRED", "name"),
        ("x" * 101, None): ("TOO_LONG", "name"),
        ("shop", ()): ("REQUIRED", "sources"),
        ("shop", ("s" * 41,)): ("TOO_LONG", "sources"),
        ("shop", tuple(str(number) for number in range(101))): ("LIMIT_EXCEEDED", "sources"),
    }
    async with nothing_written():
        for (name, sources), (code, field) in expected.items():
            listed = None if sources is None else list(sources)
            refused = await live.ask(CREATE, admin.token, name=name, sources=listed)
            assert told(refused) == [{"code": code, "field": [field]}]
            assert refused["secret"] is refused["apiKey"] is None


@on_sqlite_alone
async def test_what_is_no_key_cannot_be_revoked(live: Api) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    for id in ("x", to_id("ApiKey", 10**9), to_id("Member", 1)):
        refused = await live.ask(REVOKE, admin.token, id=id)
        assert told(refused) == [{"code": "NOT_FOUND", "field": ["id"]}]


@on_sqlite_alone
async def test_keys_are_for_admins_alone_and_a_key_makes_no_keys(live: Api) -> None:
    secret = (await create(live))["secret"]
    operator = await factories.person("operator", Role.OPERATOR)
    for token in (secret, operator.token):
        assert await live.refused(KEYS, token) == "FORBIDDEN"
        assert await live.refused(CREATE, token, name="more") == "FORBIDDEN"
        assert await live.refused(REVOKE, token, id="x") == "FORBIDDEN"


@on_sqlite_alone
async def test_a_key_has_no_session_to_end(live: Api) -> None:
    secret = (await create(live))["secret"]
    assert await live.ask("mutation { signOut }", secret) is False
    assert await live.ask("{ viewer { displayName } }", secret) == {"displayName": "shop"}


@on_sqlite_alone
async def test_a_key_finds_the_customers_of_its_sources_alone(live: Api) -> None:
    customer = 'query ($source: String!) { customer(source: $source, customerRef: "C-1") { id } }'
    limited = (await create(live, ["tea"], "limited"))["secret"]
    free = (await create(live, None, "free"))["secret"]
    for source in ("tea", "cups"):
        made = await live.ask(ENSURE, free, input={"source": source, "customerRef": "C-1"})
        assert made["errors"] == []
    assert await live.ask(customer, limited, source="tea") is not None
    assert await live.refused(customer, limited, source="cups") == "FORBIDDEN"
    assert await live.ask(customer, free, source="cups") is not None
