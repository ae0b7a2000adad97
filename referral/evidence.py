"""Owns what a decision is made from: the touches and bindings of a customer, and what is known of
everybody and every program that they name. Plain values.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from members.models import Role
from referral.models import AttributionModel, BindingMode, RewardRule

VISIT = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Touch:
    """A click as the decision sees it."""

    id: int
    link_id: int
    program_id: int
    promoter_id: int
    visitor: str
    touched_at: datetime
    bot_reason: str | None = None
    link_until: datetime | None = None  # the link is not active any more at this instant


@dataclass(frozen=True, slots=True)
class Person:
    """By what one person is known behind several accounts."""

    member_id: int | None
    mailbox: str | None = None
    wechat: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Promoter:
    """Somebody who may be credited; what is said by program has no entry where there is nothing."""

    person: Person
    roles: frozenset[Role] = frozenset()
    above: frozenset[int] = frozenset()  # who brought them, who brought those, and so on
    parents: Mapping[int, int] = field(default_factory=dict)
    suspended: Mapping[int, Sequence[tuple[datetime, datetime | None]]] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True)
class Bond:
    """That the customer is a promoter's, from an instant on and until, not including, another."""

    promoter_id: int
    bound_at: datetime
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What a program brings to the decision, with its rules for this kind of conversion."""

    window_days: int
    rules: Sequence[RewardRule] = ()
    model: AttributionModel = AttributionModel.LAST_TOUCH
    binding: BindingMode = BindingMode.NONE
    new_customers_only: bool = False
    group: str | None = "default"
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def with_rules(self, rules: Sequence[RewardRule]) -> "Terms":
        """The same with these rules."""
        return replace(self, rules=rules)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, and to whom. `amount` is what rates apply to; None earns nothing at all."""

    customer: Person
    occurred_at: datetime
    amount: int | None
    returning: bool = False  # has an earlier paid order
    binds: BindingMode = BindingMode.NONE  # which mode this makes a binding in
    typed: int | None = None  # the touch that a typed code is
    bonds: Mapping[int, Sequence[Bond]] = field(default_factory=dict)  # by program


def visits(touches: Iterable[Touch], typed: int | None = None) -> Sequence[Touch]:
    """The touches that open a visit, in time order.

    Clicks of one visitor on one link within 30 minutes of the first are one visit, whose touch is
    the first; people and bots are kept apart, and what was typed is a visit of its own.
    """
    opened: dict[tuple[str, int, bool], datetime] = {}
    firsts = []
    for touch in sorted(touches, key=time):
        if touch.id == typed:
            firsts.append(touch)
            continue
        series = (touch.visitor, touch.link_id, touch.bot_reason is None)
        since = opened.get(series)
        if since is None or touch.touched_at - since > VISIT:
            opened[series] = touch.touched_at
            firsts.append(touch)
    return firsts


def time(touch: Touch) -> tuple[datetime, int]:
    return touch.touched_at, touch.id
