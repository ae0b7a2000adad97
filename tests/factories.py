"""Makes what tests start from, through the same functions as the product."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Unpack

from argon2 import PasswordHasher

from api import demo
from content import library, lifecycle, tagging
from content.drafts import Given
from content.library import NewContent
from content.models import ContentKind, ContentStatus, Dimension, Tag
from content.planting import NewTag
from core import codes
from members import grants, identity, publishing
from members.models import DowngradePolicy, Member, Role, TierApplication
from referral import links, programs
from referral.clicks import Click, Clicks
from referral.models import Link, Program

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
# For tests in which how long a hash takes is beside the point.
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass(frozen=True, slots=True)
class Person:
    """A member and a token of theirs."""

    member: Member
    token: str


async def person(name: str, *roles: Role, email: str | None = None) -> Person:
    """A member with these roles, signed in."""
    email = email or f"{name}@example.com"
    token = await identity.token_for(email, roles, datetime.now(UTC), display_name=name)
    return Person(await Member.get(email_key=email.casefold()), token)


async def program(
    code: str = "friends", *, window_days: int = 30, rate_bps: int = 1_000
) -> Program:
    """A program with one rule: this rate of every order, in cash."""
    return await programs.set_up(
        code, code.title(), window_days=window_days, rate_bps=rate_bps, currency="CNY", now=NOW
    )


async def link(owner: Member, of: Program, code: str | None = None) -> Link:
    """A link of the promoter to the shop."""
    return await links.set_up(
        program_id=of.id,
        owner_id=owner.id,
        target_url="https://shop.example/tea?cup=2",
        allowed_hosts=["shop.example"],
        now=NOW,
        code=code or codes.new(),
    )


async def click(
    link: Link, visitor: str, touched_at: datetime, *, bot_reason: str | None = None
) -> None:
    """A click on the link, as the redirect writes it."""
    await Clicks().record(Click(link.id, visitor, touched_at, bot_reason))


async def tag(
    slug: str, parent: str | None = None, dimension: Dimension = Dimension.PRODUCT
) -> Tag:
    """A tag made by an editor; its name is its slug."""
    editor = await person("ed", Role.REVIEWER)
    return await tagging.create(NewTag(dimension, slug, slug, parent), editor.member.id, NOW)


async def piece(
    slug: str,
    *,
    status: ContentStatus = ContentStatus.PUBLISHED,
    at: datetime = NOW,
    author_id: int | None = None,
    kind: ContentKind = ContentKind.ARTICLE,
    locale: str = "zh-CN",
    **given: Unpack[Given],
) -> int:
    """A content, brought to this status by an editor at this instant; its id."""
    author_id = author_id or (await person("ed", Role.REVIEWER)).member.id
    given = {"title": slug.title(), **given}
    content_id = await library.create(NewContent(slug, kind, locale), given, author_id, at)
    if status is ContentStatus.IN_REVIEW:
        await lifecycle.submit(content_id, author_id, at)
    if status is ContentStatus.SCHEDULED:
        later = at + timedelta(days=1)
        await lifecycle.publish(content_id, 1, later, author_id, at)
    if status in {ContentStatus.PUBLISHED, ContentStatus.ARCHIVED}:
        await lifecycle.publish(content_id, 1, None, author_id, at)
    if status is ContentStatus.ARCHIVED:
        await lifecycle.archive(content_id, author_id, at)
    return content_id


async def ladder(downgrade: DowngradePolicy = DowngradePolicy.IMMEDIATE) -> None:
    """The tiers silver at 3,000.00 and gold at 5,000.00."""
    await publishing.set_up(demo.ladder(downgrade), time_zone="Asia/Shanghai", now=NOW)


@dataclass(frozen=True, slots=True)
class Stage:
    """What the loop needs: a promoter with a link, and the shop that tells of orders."""

    promoter: Person
    shop: Person
    program: Program
    link: Link


async def stage(
    *,
    window_days: int = 30,
    rate_bps: int = 1_000,
    downgrade: DowngradePolicy = DowngradePolicy.IMMEDIATE,
) -> Stage:
    """A promoter with a link, a shop, and the two tiers."""
    await ladder(downgrade)
    promoter = await person("lin", Role.EMPLOYEE)
    terms = await program(window_days=window_days, rate_bps=rate_bps)
    return Stage(
        promoter=promoter,
        shop=await person("shop", Role.SERVICE),
        program=terms,
        link=await link(promoter.member, terms),
    )


async def apply(member_id: int, tier: str, now: datetime = NOW) -> TierApplication:
    """The member's application for the tier."""
    return await grants.apply(member_id, tier, None, now)


async def decide(
    application_id: int, actor_id: int, *, approve: bool = True, now: datetime = NOW
) -> TierApplication:
    """Staff's decision about it."""
    return await grants.decide(
        application_id, approve=approve, note=None, actor_id=actor_id, now=now
    )


async def grant(
    member_id: int, tier: str, actor_id: int, until: datetime | None = None, now: datetime = NOW
) -> None:
    """The tier as a floor, given by staff."""
    await grants.grant(member_id, tier, until, actor_id, now)
