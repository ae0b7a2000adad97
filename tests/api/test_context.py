"""Who sees whom, over real HTTP."""

from typing import Any

from core import database
from members.models import Role
from tests import factories
from tests.api.books import on_sqlite_alone
from tests.client import ORDER, REGISTER, Api

PRIVATE = {
    "email": "email",
    "phone": "phone",
    "roles": "roles",
    "createdAt": "createdAt",
    "tier": "tier { code }",
    "tierHistory": "tierHistory { totalCount }",
    "metrics": "metrics { spendMinor }",
    "balances": "balances { asset }",
    "ledger": "ledger { totalCount }",
}
OF_AN_ORDER = """query ($id: String!) {{
  conversion(source: "shop", externalId: $id) {{ member {{ id displayName {} }} }} }}"""
OF_AN_AUTHOR = "{{ contents {{ nodes {{ author {{ id displayName {} }} }} }} }}"


async def codes_of(live: Api, query: str, token: str | None, **variables: Any) -> dict[str, Any]:
    """For each private field alone: the code of its only error, or None where it was shown."""
    found: dict[str, Any] = {}
    for name, selection in PRIVATE.items():
        answer = (await live.post(query.format(selection), token, **variables)).json()
        errors = [error["extensions"]["code"] for error in answer.get("errors", [])]
        found[name] = errors[0] if errors else None
    return found


def all_of(code: str | None) -> dict[str, str | None]:
    return dict.fromkeys(PRIVATE, code)


async def article_by(author: factories.Person) -> None:
    await factories.piece("tea", author_id=author.member.id, title="Tea")


@on_sqlite_alone
async def test_an_authors_private_fields_are_for_the_author_and_staff_alone(live: Api) -> None:
    author = await factories.person("xia", Role.EDITOR)
    await article_by(author)
    expected: list[tuple[str | None, str | None]] = [
        (None, "UNAUTHENTICATED"),
        (author.token, None),
        ((await factories.person("mei")).token, "FORBIDDEN"),
        ((await factories.person("koc", Role.KOC)).token, "FORBIDDEN"),
        ((await factories.person("employee", Role.EMPLOYEE)).token, "FORBIDDEN"),
        ((await factories.person("reviewer", Role.REVIEWER)).token, "FORBIDDEN"),
        ((await factories.person("service", Role.SERVICE)).token, "FORBIDDEN"),
        ((await factories.person("operator", Role.OPERATOR)).token, None),
        ((await factories.person("finance", Role.FINANCE)).token, None),
        ((await factories.person("admin", Role.ADMIN)).token, None),
    ]
    for token, code in expected:
        assert await codes_of(live, OF_AN_AUTHOR, token) == all_of(code)
        # Name and id are everybody's.
        [node] = (await live.ask(OF_AN_AUTHOR.format(""), token))["nodes"]
        assert node["author"]["displayName"] == "xia"


async def test_a_shop_does_not_see_its_customers_private_fields_and_staff_does(live: Api) -> None:
    stage = await factories.stage()
    admin = await factories.person("admin", Role.ADMIN)
    joined = await live.ask(REGISTER, input={"displayName": "Mei", "email": "mei@example.com"})
    customer = joined["member"]["id"]
    order = {"source": "shop", "externalId": "A-1", "amountMinor": 5, "member": customer}
    await live.ask(ORDER, stage.shop.token, input=order)

    shown = await live.ask(OF_AN_ORDER.format(""), stage.shop.token, id="A-1")
    assert shown == {"member": {"id": customer, "displayName": "Mei"}}
    assert await codes_of(live, OF_AN_ORDER, stage.shop.token, id="A-1") == all_of("FORBIDDEN")
    assert await codes_of(live, OF_AN_ORDER, admin.token, id="A-1") == all_of(None)


@on_sqlite_alone
async def test_one_forbidden_field_leaves_the_rest_of_the_answer(live: Api) -> None:
    author = await factories.person("xia", Role.EDITOR)
    await article_by(author)
    reader = await factories.person("mei")
    answer = (await live.post(OF_AN_AUTHOR.format("email"), reader.token)).json()
    assert answer["data"] == {
        "contents": {
            "nodes": [{"author": {"id": _id(answer), "displayName": "xia", "email": None}}]
        }
    }
    [error] = answer["errors"]
    assert error["path"] == ["contents", "nodes", 0, "author", "email"]
    assert "xia@example.com" not in str(answer)


def _id(answer: Any) -> str:
    return answer["data"]["contents"]["nodes"][0]["author"]["id"]


async def test_a_conversion_is_shown_to_its_service_to_staff_and_to_nobody_it_does_not_concern(
    live: Api,
) -> None:
    stage = await factories.stage()
    query = '{ conversion(source: "shop", externalId: "A-1") { externalId } }'
    order = {"source": "shop", "externalId": "A-1", "amountMinor": 5}
    await live.ask(ORDER, stage.shop.token, input=order)
    other = await factories.person("other", Role.SERVICE)
    for role in (Role.OPERATOR, Role.FINANCE, Role.ADMIN):
        staff = await factories.person(role.lower(), role)
        assert await live.ask(query, staff.token) == {"externalId": "A-1"}
    assert await live.ask(query, stage.shop.token) == {"externalId": "A-1"}
    assert await live.ask(query, other.token) is None
    for role in (Role.EMPLOYEE, Role.KOC, Role.REVIEWER):
        person = await factories.person(role.lower(), role)
        assert await live.ask(query, person.token) is None
    assert await live.refused(query) == "UNAUTHENTICATED"


@on_sqlite_alone
async def test_whoever_just_registered_sees_themselves_and_nobody_else(live: Api) -> None:
    await article_by(await factories.person("xia"))
    query = """mutation { memberRegister(input: {displayName: "Mei", email: "mei@example.com"}) {
      member { email roles metrics { spendMinor } balances { asset } } } }"""
    assert (await live.ask(query))["member"] == {
        "email": "mei@example.com",
        "roles": ["MEMBER"],
        "metrics": {"spendMinor": 0},
        "balances": [],
    }


@on_sqlite_alone
async def test_a_token_is_given_once_and_stored_nowhere(live: Api) -> None:
    joined = await live.ask(REGISTER, input={"displayName": "Mei"})
    assert await live.ask("{ viewer { displayName } }", joined["token"]) == {"displayName": "Mei"}
    assert joined["token"] not in str(await database.rows("SELECT * FROM session"))
