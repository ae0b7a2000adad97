"""Owns what staff decide about tiers: grants, which are floors, and applications."""

from datetime import datetime

from tortoise.exceptions import IntegrityError

from core import database
from core.errors import Invalid, NotFound, text
from members.errors import (
    AlreadyApplied,
    AlreadyDecided,
    MemberNotFound,
    ThresholdNotMet,
    TierNotFound,
)
from members.models import ApplicationStatus, Standing, TierApplication
from members.standings import Standings
from members.tiers import Ladder, Rung

WORDS = 1000


@database.unit_of_work
async def grant(
    member_id: int, tier: str, until: datetime | None, actor_id: int, now: datetime
) -> None:
    """Makes the tier of this code a floor that rules cannot take away, until then or for good.

    A second grant takes the place of the first. Raises `MemberNotFound`, `TierNotFound`, and
    `Invalid` for an end that has passed.
    """
    if until is not None and until <= now:
        raise Invalid("A grant ends in the future.", "until")
    await database.lock("tiers")  # nobody leaves the tier out meanwhile
    standings = await _locked(member_id, now, "member")
    rung = _rung(standings.ladder, tier)
    standings.grant(member_id, rung.id, until, actor_id)
    await standings.save()


@database.unit_of_work
async def revoke(member_id: int, actor_id: int, now: datetime) -> None:
    """Ends the member's grant; without one nothing happens. Raises `MemberNotFound`."""
    standings = await _locked(member_id, now, "member")
    if standings.measured(member_id).state.floor is not None:
        standings.grant(member_id, None, None, actor_id)
        await standings.save()


async def _locked(member_id: int, now: datetime, *field: str) -> Standings:
    if not await Standing.exists(member_id=member_id):
        raise MemberNotFound(*field)
    return await Standings.lock([member_id], now)


def _rung(ladder: Ladder, code: str) -> Rung:
    for rung in ladder.rungs:
        if rung.code == code:
            return rung
    raise TierNotFound(code, "tier")


@database.unit_of_work
async def apply(member_id: int, tier: str, message: str | None, now: datetime) -> TierApplication:
    """Asks staff to let the member into a tier that requires approval, whose rule holds now.

    Whoever was rejected may ask again. Raises `TierNotFound`, `ThresholdNotMet`, `AlreadyApplied`,
    and `Invalid` for a tier that needs no application or that the member is in or above.
    """
    if message is not None:
        message = text(message, "message", most=WORDS)
    standings = await _locked(member_id, now)
    rung = _rung(standings.ladder, tier)
    if not rung.requires_approval:
        raise Invalid("This tier is entered without an application, by its threshold.", "tier")
    measured = standings.measured(member_id)
    current = standings.ladder.by_id.get(measured.state.tier)
    if current is not None and current.rank >= rung.rank:
        raise Invalid(f"You are in tier {current.code} already.", "tier")
    if rung.id not in standings.ladder.holding(measured.values):
        raise ThresholdNotMet(tier, "tier")
    return await _queue(member_id, rung, message, now)


@database.unit_of_work
async def _queue(member_id: int, rung: Rung, message: str | None, now: datetime) -> TierApplication:
    try:
        return await TierApplication.create(
            member_id=member_id,
            tier_id=rung.id,
            status=ApplicationStatus.PENDING,
            message=message,
            created_at=now,
            standing_key=f"{member_id}:{rung.id}",
        )
    except IntegrityError as error:
        raise AlreadyApplied(rung.code) from error


@database.unit_of_work
async def decide(
    application_id: int, *, approve: bool, note: str | None, actor_id: int, now: datetime
) -> TierApplication:
    """Approves or rejects an application, once; an approval moves the member at once.

    Raises `NotFound`, `AlreadyDecided`, and for an approval `ThresholdNotMet` when the rule does
    not hold any more: nothing is decided then.
    """
    if note is not None:
        note = text(note, "note", most=WORDS)
    application = await TierApplication.get_or_none(id=application_id).select_related("tier")
    if application is None:
        raise NotFound("There is no such application.", "id")
    member_id, tier_id = application.member_id, application.tier_id
    standings = await Standings.lock([member_id], now)
    decided = await TierApplication.filter(
        id=application_id, status=ApplicationStatus.PENDING
    ).update(
        status=ApplicationStatus.APPROVED if approve else ApplicationStatus.REJECTED,
        note=note,
        decided_at=now,
        decided_by_id=actor_id,
        standing_key=application.standing_key if approve else None,
    )
    if not decided:
        raise AlreadyDecided
    if approve:
        if tier_id not in standings.ladder.holding(standings.measured(member_id).values):
            raise ThresholdNotMet(application.tier.code, "id")
        standings.approve(member_id, tier_id, actor_id)
        await standings.save()
    return await TierApplication.get(id=application_id)
