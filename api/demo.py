"""Owns the demo: a small brand's people, library, tiers and one link, to try everything on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from api import demo_covers, files
from api.files import Mapped
from content import assets, importing, reading
from content.gate import ANYBODY
from content.models import ContentSlug
from content.rows import Row, needed
from core import codes
from core.errors import Mistake
from members import identity, models, publishing
from members.models import DowngradePolicy, Member, Role
from members.payees import Payee, Vault
from members.publishing import TierRule
from referral import links, programs, shared_payees

CONTENTS = Path(__file__).with_name("demo_contents")
LINK_CODE = codes.with_check("WE11SPR1")
FEATURED = "why-we-pick-before-dawn"
WINDOW_DAYS = 30
RATE_BPS = 1_000
THRESHOLDS_MINOR = {"silver": 300_000, "gold": 500_000}
YEAR_DAYS = 365
PAID_TO = Payee("BANK", "Lin", "6222020000001234567", "Bank of the demo")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the demo."""

    key: str
    display_name: str
    roles: tuple[Role, ...]

    @property
    def email(self) -> str:
        return f"{self.key}@wellspring.example"


EDITOR = Person("editor", "Xia the editor", (Role.REVIEWER,))  # who publishes too
EMPLOYEE = Person("employee", "Lin the employee", (Role.EMPLOYEE,))
MEMBER = Person("member", "Mei the member", ())
FINANCE = Person("finance", "Bo of finance", (Role.FINANCE,))
ADMIN = Person("admin", "An the admin", (Role.ADMIN,))
SHOP = Person("shop", "The shop's service", (Role.SERVICE,))
PEOPLE = (EDITOR, EMPLOYEE, MEMBER, FINANCE, ADMIN, SHOP)


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


async def load(
    currency: str,
    time_zone: str,
    store: assets.Store | None,
    now: datetime,
    vault: Vault | None = None,
) -> dict[Person, str]:
    """Makes whatever of the demo is missing and returns a fresh token of everybody in it. Without a
    store the pieces have no covers, without a vault the employee has not said where to be paid.

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
    editor = await Member.get(email_key=EDITOR.email.casefold())
    await _fill_library(store, editor.id, now)
    featured = await reading.by_slug(ANYBODY, FEATURED)
    employee = await Member.get(email_key=EMPLOYEE.email.casefold())
    await links.set_up(
        program_id=program.id,
        owner_id=employee.id,
        content_id=featured and featured.id,
        now=now,
        code=LINK_CODE,
    )
    if vault is not None and not await models.Payee.exists(member_id=employee.id):
        await shared_payees.put(employee.id, PAID_TO, vault, now)
    return tokens


def pieces() -> Sequence[Row]:
    """The contents of the demo, as `wellspring import` reads them."""
    found = [each.row for each in files.read(files.named([CONTENTS]), Mapped.ROWS)]
    return [row for row in found if not isinstance(row, Mistake)]


async def _fill_library(store: assets.Store | None, editor_id: int, now: datetime) -> None:
    """Brings in the pieces that are missing, all of them or none. What somebody has made of the
    others stays; so does one out that the library refuses by now, because its tier was left out."""
    rows = pieces()
    present = await ContentSlug.filter(slug__in=[row.slug for row in rows])
    known = {each.slug for each in present}
    missing = [row for row in rows if row.slug not in known]
    if store is not None:
        missing = await _covered(missing, store, editor_id, now)
    await importing.bring(missing, editor_id, now)


async def _covered(
    rows: Sequence[Row], store: assets.Store, editor_id: int, now: datetime
) -> Sequence[Row]:
    """The rows with covers, each drawn while those before it are being kept."""
    covered: list[Row] = []
    async with asyncio.TaskGroup() as group:
        drawn = [
            # In the colours of the side from which it is told: that of its first tag.
            group.create_task(asyncio.to_thread(demo_covers.draw, row.slug, needed(row.tags[0])))
            for row in rows
        ]
        for row, cover in zip(rows, drawn, strict=True):
            media = await assets.keep(store, await cover, editor_id, now)
            covered.append(replace(row, given={**row.given, "cover_url": media.url}))
    return covered
