"""Owns the demo: a small brand's people, library, tiers and one link, to try everything on."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from api import demo_contents
from content import library, reading
from content.gate import ANYBODY
from content.library import NewPiece
from content.models import ContentKind, Dimension
from content.tagging import NewTag
from core import codes
from members import identity, publishing
from members.models import DowngradePolicy, Member, Role
from members.publishing import TierRule
from referral import links, programs

LINK_CODE = codes.with_check("WE11SPR1")
FEATURED = "why-we-pick-before-dawn"
WINDOW_DAYS = 30
RATE_BPS = 1_000
THRESHOLDS_MINOR = {"silver": 300_000, "gold": 500_000}
YEAR_DAYS = 365


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the demo."""

    key: str
    display_name: str
    roles: tuple[Role, ...]

    @property
    def email(self) -> str:
        return f"{self.key}@wellspring.example"


EDITOR = Person("editor", "Xia the editor", (Role.EDITOR,))
EMPLOYEE = Person("employee", "Lin the employee", (Role.EMPLOYEE,))
MEMBER = Person("member", "Mei the member", ())
ADMIN = Person("admin", "An the admin", (Role.ADMIN,))
SHOP = Person("shop", "The shop's service", (Role.SERVICE,))
PEOPLE = (EDITOR, EMPLOYEE, MEMBER, ADMIN, SHOP)


def ladder(downgrade: DowngradePolicy) -> list[TierRule]:
    """Two tiers, entered at 3,000 and 5,000 of the currency; with AT_EXPIRY good for a year."""
    validity_days = YEAR_DAYS if downgrade is DowngradePolicy.AT_EXPIRY else None
    return [
        TierRule(
            code,
            code.title(),
            rank,
            {"leaf": {"metric": "SPEND", "atLeast": at_least}},
            validity_days=validity_days,
            downgrade=downgrade,
        )
        for rank, (code, at_least) in enumerate(THRESHOLDS_MINOR.items(), start=1)
    ]


async def present() -> bool:
    """Whether this database holds the demo, or nobody at all, so that it may."""
    return await Member.exists(email_key=ADMIN.email.casefold()) or not await Member.all().exists()


async def load(currency: str, time_zone: str, now: datetime) -> dict[Person, str]:
    """Makes whatever of the demo is missing and returns a fresh token of everybody in it.

    Safe to call again, also after a kill half-way through.
    """
    tokens = {
        person: await identity.token_for(
            person.email, person.roles, now, display_name=person.display_name
        )
        for person in PEOPLE
    }
    rules = ladder(DowngradePolicy.IMMEDIATE)
    await publishing.set_up(rules, time_zone=time_zone, now=now)
    program = await programs.set_up(
        "friends",
        "Friends of the house",
        window_days=WINDOW_DAYS,
        rate_bps=RATE_BPS,
        currency=currency,
        now=now,
    )
    if await reading.by_slug(ANYBODY, FEATURED) is None:
        await _fill_library(now)
    featured = await reading.by_slug(ANYBODY, FEATURED)
    employee = await Member.get(email_key=EMPLOYEE.email.casefold())
    await links.set_up(
        program_id=program.id,
        owner_id=employee.id,
        content_id=featured and featured.id,
        now=now,
        code=LINK_CODE,
    )
    return tokens


async def _fill_library(now: datetime) -> None:
    editor = await Member.get(email_key=EDITOR.email.casefold())
    tags = [NewTag(Dimension(side), slug, name) for side, slug, name in demo_contents.TAGS]
    pieces = [
        (
            NewPiece(
                slug=piece.slug,
                kind=ContentKind(piece.kind),
                locale=piece.locale,
                title=piece.title,
                summary=piece.summary,
                body=piece.body,
                tags=piece.tags,
            ),
            now - timedelta(days=age),
        )
        for age, piece in enumerate(demo_contents.PIECES)
    ]
    await library.fill(tags, pieces, editor.id, now)
