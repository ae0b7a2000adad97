"""Ids open nothing by themselves: whoever knows those of others is refused, whatever the field."""

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_named_type,
    is_leaf_type,
)

from api import app, schema
from api.nodes import to_id
from api.settings import Settings
from content import assets
from content.models import Audience, ContentStatus
from core import database, endpoints, jobs
from core.webhooks import WebhookDelivery
from members import keys
from members.models import ApplicationStatus, Role, TierApplication
from referral import enrollments
from referral.models import Commission, Conversion, Enrollment, Link, RiskCase, RiskStatus
from tests import factories
from tests.api.writing import call
from tests.conftest import SECRET
from tests.referral import purse

SCHEMA = schema.schema._schema
NOW = factories.NOW
# What everybody may find by its id, though not everything of it.
EVERYBODYS = {"Member", "Tier", "Tag", "Content", "Program"}

Arguments = Mapping[str, Any]


def takes_ids(kind: Any, seen: tuple[str, ...] = ()) -> bool:
    """Whether an argument of this type can hold an id."""
    named = get_named_type(kind)
    if isinstance(named, GraphQLInputObjectType) and named.name not in seen:
        return any(takes_ids(each.type, (*seen, named.name)) for each in named.fields.values())
    return named.name == "ID"


def fields() -> Iterator[tuple[str, str]]:
    """Root and name of every field that takes an id."""
    for root in ("Query", "Mutation"):
        kind = SCHEMA.type_map[root]
        assert isinstance(kind, GraphQLObjectType)
        for name, field in kind.fields.items():
            if any(takes_ids(each.type) for each in field.args.values()):
                yield root, name


async def objects() -> dict[str, str]:
    """The id of one object of each kind, none of which is the stranger's."""
    rui = await factories.person("rui", Role.REVIEWER)
    await factories.ladder()
    await factories.tag("tea")
    of, payout = await purse.one_payout()
    promoter = of.promoter.id
    application = await TierApplication.create(
        member_id=promoter, tier_id=1, status=ApplicationStatus.PENDING, created_at=NOW
    )
    enrollment = await Enrollment.create(program=of.program, member_id=promoter, created_at=NOW)
    piece = await factories.piece("staff", audience=Audience.STAFF, body="for us")
    endpoint = await endpoints.create("https://hooks.example/", ["tier.changed"], 1, NOW)
    delivery = await WebhookDelivery.create(
        endpoint=endpoint, event="tier.changed", payload="{}", created_at=NOW
    )
    key = await keys.create("shop", None, rui.member.id, NOW)
    case = await RiskCase.create(
        key="k",
        rule="SHARED_PAYEE",
        status=RiskStatus.OPEN,
        promoter_id=promoter,
        evidence={},
        created_at=NOW,
    )
    job = await database.unit_of_work(jobs.begin)("reevaluating", NOW)
    video = await assets.add("https://video.example/", "video/mp4", 1, 1, 1, rui.member.id, NOW)
    rows = {
        "Member": promoter,
        "Tier": 1,
        "Tag": 1,
        "TierApplication": application.id,
        "Conversion": (await Conversion.all().order_by("id"))[0].id,
        "Program": of.program.id,
        "ReferralLink": (await Link.all().order_by("id"))[0].id,
        "Content": piece,
        "Media": video.id,
        "Commission": (await Commission.all().order_by("id"))[0].id,
        "Payout": payout.id,
        "Enrollment": enrollment.id,
        "ApiKey": key.key.id,
        "WebhookEndpoint": endpoint.id,
        "WebhookDelivery": delivery.id,
        "Job": job.id,
        "RiskCase": case.id,
    }
    return {kind: to_id(kind, number) for kind, number in rows.items()}


def examples(ids: Mapping[str, str]) -> dict[str, Arguments]:
    """Arguments for every field that takes an id, with those of others."""
    content, member = {"id": ids["Content"]}, {"member": ids["Member"]}
    fact = {"source": "shop", "externalId": "X-1", **member, "amountMinor": 1}
    return {
        "node": {"id": ids["Payout"]},
        "nodes": {"ids": [ids["TierApplication"]]},
        "member": {"id": ids["Member"]},
        "content": content,
        "conversions": {"where": member},
        "auditTrail": {"subject": ids["Content"]},
        "memberSetRoles": {"id": ids["Member"], "roles": []},
        "tierGrant": {**member, "tier": "silver"},
        "tierRevoke": member,
        "tierApplicationDecide": {"id": ids["TierApplication"], "approve": True},
        "apiKeyRevoke": {"id": ids["ApiKey"]},
        "contentCreate": {"input": {"slug": "s", "title": "T", "media": [ids["Media"]]}},
        "contentUpdate": {"input": {**content, "expectedVersion": 1, "title": "Mine"}},
        "contentRestoreVersion": {**content, "version": 1, "expectedVersion": 1},
        "contentSubmit": content,
        "contentReject": {**content, "note": "no"},
        "contentPublish": {**content, "expectedVersion": 1},
        **dict.fromkeys(("contentUnschedule", "contentArchive", "contentUnarchive"), content),
        "contentsTag": {"ids": [ids["Content"]], "add": ["tea"]},
        "referralLinkCreate": {"input": {"program": "open", "content": ids["Content"]}},
        "referralLinkArchive": {"id": ids["ReferralLink"]},
        "contentShare": {**content, "program": "open"},
        **{name: {"input": fact} for name in ("orderRecord", "feeRecord", "refundRecord")},
        "ordersRecord": {"inputs": [fact]},
        "customerLink": {"input": {"source": "shop", "customerRef": "c", **member}},
        "promoterEnroll": {"program": "open", **member},
        "enrollmentSuspend": {"id": ids["Enrollment"], "reason": "mine"},
        "enrollmentResume": {"id": ids["Enrollment"]},
        "bindingTransfer": {
            "program": "open",
            "from": ids["Member"],
            "to": ids["Member"],
            "memo": "mine",
            "members": [ids["Member"]],
        },
        "payoutSettle": {"id": ids["Payout"], "sent": True},
        "ledgerAdjust": {
            **member,
            "program": "friends",
            "asset": ("CASH",),
            "amount": 1,
            "memo": "mine",
            "key": "k",
        },
        "webhookEndpointSave": {
            "id": ids["WebhookEndpoint"],
            "url": "https://evil.example/",
            "events": ["tier.changed"],
        },
        "riskCaseDecide": {"id": ids["RiskCase"], "release": True},
        "webhookEndpointDelete": {"id": ids["WebhookEndpoint"]},
        "webhookReplay": {"delivery": ids["WebhookDelivery"]},
    }


def selection(root: str, name: str) -> str:
    kind = SCHEMA.type_map[root]
    assert isinstance(kind, GraphQLObjectType)
    of = get_named_type(kind.fields[name].type)
    if is_leaf_type(of):
        return ""
    with_errors = isinstance(of, GraphQLObjectType) and "errors" in of.fields
    return "{ errors { code field } }" if with_errors else "{ __typename }"


class Stranger:
    """A member with a role of promoters, who has learnt the ids of everybody else's things."""

    def __init__(self, http: httpx.AsyncClient, token: str | None, ids: Mapping[str, str]) -> None:
        self._http = http
        self._token = token
        self.ids = ids

    def as_somebody_else(self, token: str | None) -> "Stranger":
        """The same knowledge in other hands; of nobody who is signed in without a token."""
        return Stranger(self._http, token, self.ids)

    async def ask(self, query: str) -> Any:
        """The answer, without its extensions."""
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        response = await self._http.post("/graphql", json={"query": query}, headers=headers)
        answer = response.json()
        assert response.status_code == 200, answer
        answer.pop("extensions", None)
        return answer

    async def refused(self, query: str) -> bool:
        """Whether all that is told is FORBIDDEN, or that there is nothing."""
        answer = await self.ask(query)
        codes = [each["extensions"]["code"] for each in answer.get("errors", [])]
        if codes:
            return codes == ["FORBIDDEN"]
        [value] = answer["data"].values()
        if isinstance(value, dict) and "errors" in value:
            return {each["code"] for each in value["errors"]} in ({"FORBIDDEN"}, {"NOT_FOUND"})
        return value in (None, [], [None])


@pytest.fixture
async def stranger(sqlite_url: str) -> AsyncIterator[Stranger]:
    async with database.opened(sqlite_url):
        ids = await objects()
        eve = await factories.person("eve", Role.KOC)
        await factories.program("open")
        everybody = "EMPLOYEE,KOC,MEMBER"
        await database.execute("UPDATE program SET open_to = $1", everybody)
        await enrollments.enroll("open", eve.member.id, NOW)
        settings = Settings(database_url=sqlite_url, secret=SECRET)
        transport = httpx.ASGITransport(app.create(settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            yield Stranger(http, eve.token, ids)


async def test_no_field_that_takes_an_id_does_anything_for_a_stranger(stranger: Stranger) -> None:
    known = examples(stranger.ids)
    assert {name for _, name in fields()} == set(known)  # a new field needs an example
    open_: list[str] = []
    for root, name in fields():
        prefix = "mutation " if root == "Mutation" else ""
        query = f"{prefix}{{ {call(name, selection(root, name), **known[name])} }}"
        if not await stranger.refused(query):
            open_.append(name)
    assert open_ == []


async def test_it_is_the_object_that_is_refused_and_not_the_stranger(stranger: Stranger) -> None:
    mine = {"Content": to_id("Content", await factories.piece("tea"))}
    known = examples(stranger.ids | mine)
    for name in ("contentShare", "referralLinkCreate"):
        written = call(name, selection("Mutation", name), **known[name])
        assert not await stranger.refused(f"mutation {{ {written} }}"), name


async def test_only_what_is_everybodys_is_found_by_its_id(stranger: Stranger) -> None:
    node = SCHEMA.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    kinds = {each.name for each in SCHEMA.get_possible_types(node)}
    assert kinds == set(stranger.ids)  # a new kind needs an object
    public = await factories.piece("tea", status=ContentStatus.PUBLISHED)
    found = {
        kind
        for kind, id in {**stranger.ids, "Content": to_id("Content", public)}.items()
        if not await stranger.refused(f'{{ node(id: "{id}") {{ id }} }}')
    }
    assert found == EVERYBODYS
    assert await stranger.refused(f'{{ node(id: "{stranger.ids["Content"]}") {{ id }} }}')


async def test_whoever_may_see_an_object_finds_it_by_its_id(stranger: Stranger) -> None:
    an = await factories.person("an", Role.ADMIN)
    admin = stranger.as_somebody_else(an.token)
    for kind, id in stranger.ids.items():
        found = await admin.ask(f'{{ node(id: "{id}") {{ __typename id }} }}')
        assert found == {"data": {"node": {"__typename": kind, "id": id}}}, kind
        missing = to_id(kind, 2**62)
        nothing = await admin.ask(f'{{ node(id: "{missing}") {{ id }} }}')
        assert nothing == {"data": {"node": None}}, kind


async def test_promoters_find_what_is_their_own(stranger: Stranger) -> None:
    lin = await factories.person("lin", Role.EMPLOYEE)
    own = stranger.as_somebody_else(lin.token)
    for kind in ("Conversion", "Commission", "Enrollment", "Payout"):
        id = stranger.ids[kind]
        found = await own.ask(f'{{ node(id: "{id}") {{ __typename id }} }}')
        assert found == {"data": {"node": {"__typename": kind, "id": id}}}, kind
    for kind in ("ApiKey", "Media"):
        assert await own.refused(f'{{ node(id: "{stranger.ids[kind]}") {{ id }} }}')


async def test_nobody_at_all_finds_more_than_everybody(stranger: Stranger) -> None:
    for kind in {*stranger.ids} - EVERYBODYS:
        id = stranger.ids[kind]
        answer = await stranger.as_somebody_else(None).ask(f'{{ node(id: "{id}") {{ id }} }}')
        assert answer["data"] == {"node": None}, kind


async def test_what_is_named_by_a_shops_own_id_is_hidden_alike(stranger: Stranger) -> None:
    order = (await Conversion.all().order_by("id"))[0]
    given = {"source": order.source, "externalId": order.external_id}
    written = call("conversion", "{ id }", **given, type=(order.type.value,))
    assert await stranger.refused(f"{{ {written} }}")
    now = datetime.now(UTC).isoformat()
    shared = call("funnel", "{ channel }", program="friends", until=now)
    assert await stranger.refused(f"{{ {shared} }}")
