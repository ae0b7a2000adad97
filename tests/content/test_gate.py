"""Every content by every path as every kind of viewer, against a plain model of the rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product

from api.nodes import to_id
from content import gate, library, lifecycle, reading
from content.filters import source
from content.gate import ANYBODY, Reader
from content.models import Audience, ContentStatus
from core import database
from members import identity
from members.models import DowngradePolicy, Member, Role, Standing, Tier
from tests import factories
from tests.client import Api
from tests.factories import NOW

TEXT = "the body of"
STATES = ("DRAFT", "IN_REVIEW", "SCHEDULED", "PUBLISHED", "ARCHIVED", "PUBLISHED+DRAFT")
TIERS = {"gone": -1, "silver": 1, "gold": 2}


@dataclass(frozen=True)
class Shelved:
    """What was written: a content in a state, and how its (published) version is gated."""

    slug: str
    state: str
    audience: Audience
    min_tier: str | None
    id: int = 0


@dataclass(frozen=True)
class Somebody:
    """Somebody who asks."""

    roles: frozenset[Role] | None  # None: not signed in
    tier: str | None = None
    spend_minor: int = 0


VIEWERS = {
    "anonymous": Somebody(None),
    "member": Somebody(frozenset()),
    "refunded": Somebody(frozenset(), spend_minor=-1),
    "buyer": Somebody(frozenset(), spend_minor=1),
    "granted silver": Somebody(frozenset(), "silver"),
    "silver": Somebody(frozenset(), "silver", 300_000),
    "gold": Somebody(frozenset(), "gold", 500_000),
    "left out": Somebody(frozenset(), "gone", 500_000),
    "koc": Somebody(frozenset({Role.KOC}), "silver", 1),
    "service": Somebody(frozenset({Role.SERVICE})),
    **{
        role: Somebody(frozenset({role}))
        for role in (Role.EMPLOYEE, Role.EDITOR, Role.REVIEWER, Role.OPERATOR, Role.FINANCE)
    },
    "admin": Somebody(frozenset({Role.ADMIN})),
}
EDITORS = {Role.EDITOR, Role.REVIEWER, Role.ADMIN}
INSIDERS = {*EDITORS, Role.EMPLOYEE, Role.OPERATOR, Role.FINANCE}


def expected(who: Somebody, what: Shelved) -> tuple[str, str] | None:
    """The plain model: which title is seen, and why the body is or is not; None for nothing."""
    roles = who.roles or frozenset()
    if roles & EDITORS:
        return ("newer" if "+" in what.state else what.slug), "GRANTED"
    if not what.state.startswith("PUBLISHED"):
        return None
    if roles & INSIDERS:
        return what.slug, "GRANTED"
    if what.audience is Audience.STAFF:
        return None
    open_to_all = what.min_tier is None and what.audience is Audience.EVERYONE
    if who.roles is None:
        return what.slug, "GRANTED" if open_to_all else "SIGN_IN_REQUIRED"
    if what.min_tier and max(TIERS.get(who.tier or "", -1), 0) < TIERS[what.min_tier]:
        return what.slug, "TIER_REQUIRED"
    bought = who.spend_minor > 0
    excluded = {Audience.BUYERS: not bought, Audience.NON_BUYERS: bought}
    return what.slug, "AUDIENCE_EXCLUDED" if excluded.get(what.audience) else "GRANTED"


async def shelves(states: Sequence[str], audiences: Sequence[Audience]) -> list[Shelved]:
    """One content for every state, audience and tier, each under one tag."""
    for code, rank in TIERS.items():
        await Tier.create(code=code, name=code, rank=rank, rule={}, downgrade=DowngradePolicy.NEVER)
    await factories.tag("all")
    editor = (await factories.person("ed", Role.REVIEWER)).member.id
    made = []
    for state, audience, tier in product(states, audiences, (None, "silver", "gold")):
        slug = f"{state}-{audience}-{tier}".lower()
        status, _, newer = state.partition("+")
        content_id = await factories.piece(
            slug,
            status=ContentStatus(status),
            at=datetime.now(UTC),  # so that no worker finds it due
            author_id=editor,
            title=slug,
            body=f"{TEXT} {slug}",
            tags=["all"],
            audience=audience,
            min_tier=tier,
        )
        if newer:
            open_to_all = {"title": "newer", "body": f"{TEXT} newer", "min_tier": None}
            given = {**open_to_all, "audience": Audience.EVERYONE}
            await library.update(content_id, 1, given, editor, NOW)  # type: ignore[arg-type]
        made.append(Shelved(slug, state, audience, tier, content_id))
    return made


async def token_of(name: str, who: Somebody) -> str | None:
    if who.roles is None:
        return None
    person = await factories.person(name.replace(" ", "."), *who.roles)
    tier = await Tier.get_or_none(code=who.tier)
    await Standing.filter(member_id=person.member.id).update(
        tier_id=tier and tier.id, spend_minor=who.spend_minor
    )
    return person.token


async def reader_of(name: str, who: Somebody) -> Reader:
    if await token_of(name, who) is None:
        return ANYBODY
    member = await Member.get(display_name=name.replace(" ", "."))
    return await gate.reader(identity.Viewer(member.id, identity.expand(who.roles or ())))


async def test_the_gate_is_the_plain_model_in_python_and_in_sql(opened: str) -> None:
    written = await shelves(STATES, [*Audience])
    for name, who in VIEWERS.items():
        reader = await reader_of(name, who)
        model = {what.id: expected(who, what) for what in written}
        shown = {key: value for key, value in model.items() if value is not None}
        found = await reading.by_ids(reader, list(model))
        assert {key: (piece.title, piece.access) for key, piece in found.items()} == shown, name
        readable = await database.rows(
            f"SELECT c.id FROM {source(reader)} "
            f"WHERE {gate.visible(reader)} AND {gate.readable(reader)}"
        )
        granted = {key for key, (_, reason) in shown.items() if reason == "GRANTED"}
        assert {row["id"] for row in readable} == granted, name


PATHS = """
query ($id: ID!, $slug: String!) {
  byId: content(id: $id) { title body bodyHtml access { reason } }
  bySlug: content(slug: $slug) { title body bodyHtml access { reason } }
}"""
LISTS = """{
  contents(first: 100) {
    totalCount nodes { slug title body bodyHtml access { reason } }
    facets(dimension: PRODUCT) { tag { slug contentCount } count }
  }
  everything: contents(first: 100, where: {
    status: [DRAFT, IN_REVIEW, SCHEDULED, PUBLISHED, ARCHIVED], tags: { anyOf: ["all"] }
  }) { totalCount nodes { slug title body access { reason } } }
  tags { nodes { slug contentCount } }
}"""


async def test_every_path_of_the_api_shows_what_the_plain_model_shows(live: Api) -> None:
    written = await shelves(STATES, [*Audience])
    for name, who in VIEWERS.items():
        token = await token_of(name, who)
        for what in written[:: 1 if name in {"anonymous", "silver"} else 7]:
            variables = {"id": to_id("Content", what.id), "slug": what.slug}
            answer = (await live.post(PATHS, token, **variables)).json()["data"]
            for path in ("byId", "bySlug"):
                assert as_modelled(answer[path]) == expected(who, what), (name, path, what)
        await lists_agree(live, token, who, written)


async def lists_agree(
    live: Api, token: str | None, who: Somebody, written: Sequence[Shelved]
) -> None:
    answer = (await live.post(LISTS, token)).json()["data"]
    shown = {what.slug: expected(who, what) for what in written}
    shown = {slug: seen for slug, seen in shown.items() if seen is not None}
    published = {slug: seen for slug, seen in shown.items() if slug.startswith("published")}
    for path, model in (("contents", published), ("everything", shown)):
        nodes = {node["slug"]: as_modelled(node) for node in answer[path]["nodes"]}
        assert nodes == model, (who, path)
        assert answer[path]["totalCount"] == len(model)
    counted = {"slug": "all", "contentCount": len(published)}
    [facet] = answer["contents"]["facets"]
    assert facet == {"tag": counted, "count": len(published)}
    assert answer["tags"]["nodes"] == [counted]


def as_modelled(node: dict | None) -> tuple[str, str] | None:
    """What the answer shows, once its body fits the reason it gives."""
    if node is None:
        return None
    reason = node["access"]["reason"]
    body = f"{TEXT} {node['title']}" if reason == "GRANTED" else None
    assert node["body"] == body
    if "bodyHtml" in node:
        assert node["bodyHtml"] == (body and f"<p>{body}</p>\n")
    return node["title"], reason


async def test_our_own_page_shows_what_anybody_may_see(live: Api) -> None:
    for what in await shelves(("DRAFT", "PUBLISHED", "PUBLISHED+DRAFT"), [*Audience]):
        response = await live.http.get(f"/c/{what.slug}")
        seen = expected(VIEWERS["anonymous"], what)
        assert response.status_code == (200 if seen else 404), what
        body = f"{TEXT} {what.slug}"
        assert (body in response.text) == (seen is not None and seen[1] == "GRANTED")
        assert "newer" not in response.text
        assert ("Sign in to read on." in response.text) == (
            seen is not None and seen[1] == "SIGN_IN_REQUIRED"
        )


async def test_archiving_hides_at_once(opened: str) -> None:
    editor = (await factories.person("ed", Role.REVIEWER)).member.id
    tea = await factories.piece("tea", author_id=editor)
    assert await reading.count(ANYBODY) == 1
    await lifecycle.archive(tea, editor, NOW)
    assert await reading.count(ANYBODY) == 0


async def test_a_tier_is_named_as_long_as_somebody_sees_a_version_that_names_it(
    opened: str,
) -> None:
    await factories.ladder()
    editor = (await factories.person("ed", Role.REVIEWER)).member.id
    tea = await factories.piece("tea", author_id=editor, min_tier="silver")
    await library.update(tea, 1, {"min_tier": "gold"}, editor, NOW)
    ids = {tier.code: tier.id for tier in await Tier.all()}
    assert await gate.tiers_named() == {ids["silver"], ids["gold"]}
    await lifecycle.publish(tea, 2, None, editor, NOW)
    assert await gate.tiers_named() == {ids["gold"]}
