"""Owns the decision who brought a conversion. Pure: from its arguments alone.

Every program in which the customer has a touch or a binding is looked at by itself; then, of those
in one exclusive group that would pay somebody, one decides.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from referral import eligibility, rewards
from referral.evidence import Bond, Event, Promoter, Terms, Touch, time, visits
from referral.models import AttributionModel, BindingMode, Verdict
from referral.rewards import Receiver, Reward
from referral.shares import WHOLE_PPM, shares

OTHER_PROGRAM = "another program of its group decides"


@dataclass(frozen=True, slots=True)
class Judged:
    """A touch, or a binding where that is None, its verdict and the reason in words."""

    program_id: int
    promoter_id: int
    touch: Touch | None
    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class Share:
    """That a promoter brought the conversion, or a part of it; at level 2, their child did."""

    program_id: int
    promoter_id: int
    level: int
    weight_ppm: int
    link_id: int | None


@dataclass(frozen=True, slots=True)
class Decision:
    """Who brought it and what they get, by program, whom the customer is bound to from now on, and
    everything that was looked at with its verdict: programs by id, a binding first, then touches in
    time order."""

    shares: Sequence[Share]
    rewards: Sequence[tuple[Share, Reward]]
    bonds: Sequence[tuple[int, int]]  # program and promoter
    judged: Sequence[Judged]


@dataclass(slots=True)
class _Look:
    """One program while it is looked at."""

    program_id: int
    terms: Terms
    visits: Sequence[Touch]
    refused: Mapping[int, Judged]
    bond: Bond | None  # the active one; None while it sleeps
    claimed: bool  # whether there is one, asleep or still to begin
    bond_refusal: Judged | None
    weights: Mapping[int, int]  # by touch, of the eligible ones
    shares: list[Share] = field(default_factory=list)
    rewards: list[tuple[Share, Reward]] = field(default_factory=list)
    decides: bool = True  # no other program of its group does

    @property
    def eligible(self) -> Sequence[Touch]:
        return [touch for touch in self.visits if touch.id not in self.refused]


def decide(
    event: Event,
    touches: Iterable[Touch],
    terms: Mapping[int, Terms],
    promoters: Mapping[int, Promoter],
) -> Decision:
    """Judges every touch and every binding of the customer.

    `terms` holds the terms of every program that one of them belongs to, `promoters` everybody who
    is named by one, with their parents.
    """
    looked_at = visits(touches, event.typed)
    looks = [
        _look(event, program_id, terms[program_id], looked_at, promoters)
        for program_id in sorted({each.program_id for each in looked_at} | {*event.bonds})
    ]
    for look in looks:
        _share(event, look, promoters)
    _exclude(looks)
    return Decision(
        shares=[share for look in looks if look.decides for share in look.shares],
        rewards=[each for look in looks if look.decides for each in look.rewards],
        bonds=[bond for look in looks if look.decides for bond in _new_bond(event, look)],
        judged=[judged for look in looks for judged in _judged(event, look)],
    )


def _look(
    event: Event,
    program_id: int,
    terms: Terms,
    looked_at: Sequence[Touch],
    promoters: Mapping[int, Promoter],
) -> _Look:
    """What of the program counts: an active binding, or else the eligible touches."""
    own = [touch for touch in looked_at if touch.program_id == program_id]
    refused = {
        touch.id: Judged(program_id, touch.promoter_id, touch, *refusal)
        for touch in own
        if (refusal := eligibility.of_touch(event, terms, promoters[touch.promoter_id], touch))
    }
    bonds = event.bonds.get(program_id, ())
    bond = next((each for each in bonds if eligibility.holds(each, event)), None)
    if bond and eligibility.suspended(event, program_id, promoters[bond.promoter_id]):
        bond = None
    no = None
    if bond is not None:
        no = (
            eligibility.of_program(event, terms)
            or eligibility.of_promoter(event, promoters[bond.promoter_id])
            or eligibility.of_customer(event, terms)
        )
    refused_bond = Judged(program_id, bond.promoter_id, None, *no) if bond and no else None
    claimed = any(each.ends_at is None or event.occurred_at < each.ends_at for each in bonds)
    eligible = [touch for touch in own if touch.id not in refused]
    weights = {} if bond else _weights(event, terms, eligible)
    return _Look(program_id, terms, own, refused, bond, claimed, refused_bond, weights)


def _weights(event: Event, terms: Terms, eligible: Sequence[Touch]) -> Mapping[int, int]:
    """What each eligible touch has of the whole; a typed code takes it all."""
    if not eligible:
        return {}
    if any(touch.id == event.typed for touch in eligible):
        return {event.typed or 0: WHOLE_PPM}
    parts = shares(terms.model, [event.occurred_at - touch.touched_at for touch in eligible])
    return {touch.id: part for touch, part in zip(eligible, parts, strict=True)}


# ---- who gets what


def _share(event: Event, look: _Look, promoters: Mapping[int, Promoter]) -> None:
    """Fills in who brought it in this program, and what the rules give them."""
    firsts = [*_first_level(look)]
    look.shares += firsts
    if event.amount is None:
        return
    rules, whole = look.terms.rules, event.amount
    receivers = [Receiver(each.promoter_id, promoters[each.promoter_id].roles) for each in firsts]
    weights = [each.weight_ppm for each in firsts]
    of = {each.promoter_id: each for each in firsts}
    for reward in rewards.rewards(rules, whole, 1, weights, receivers):
        look.rewards.append((of[reward.promoter_id], reward))
    parents = [_parent(event, look.program_id, each, promoters) for each in firsts]
    gained = [*rewards.rewards(rules, whole, 2, weights, parents)]
    for promoter_id in dict.fromkeys(reward.promoter_id for reward in gained):
        weight = sum(
            weight
            for weight, parent in zip(weights, parents, strict=True)
            if parent and parent.promoter_id == promoter_id
        )
        second = Share(look.program_id, promoter_id, 2, weight, None)
        look.shares.append(second)
        look.rewards += [(second, each) for each in gained if each.promoter_id == promoter_id]


def _first_level(look: _Look) -> Iterator[Share]:
    """The promoters in the order of their first touch that counts; touches of one add up."""
    if look.bond is not None:
        if look.bond_refusal is None:
            promoter_id = look.bond.promoter_id
            own = [touch.link_id for touch in look.eligible if touch.promoter_id == promoter_id]
            link_id = own[-1] if own else None
            yield Share(look.program_id, promoter_id, 1, WHOLE_PPM, link_id)
        return
    counted = [touch for touch in look.eligible if look.weights.get(touch.id)]
    for promoter_id in dict.fromkeys(touch.promoter_id for touch in counted):
        own = [touch for touch in counted if touch.promoter_id == promoter_id]
        weight = sum(look.weights[touch.id] for touch in own)
        yield Share(look.program_id, promoter_id, 1, weight, own[-1].link_id)


def _parent(
    event: Event, program_id: int, child: Share, promoters: Mapping[int, Promoter]
) -> Receiver | None:
    """The parent at level 2, if there is one that passes the checks of level 1."""
    parent_id = promoters[child.promoter_id].parents.get(program_id)
    if parent_id is None:
        return None
    parent = promoters[parent_id]
    no = eligibility.of_suspension(event, program_id, parent) or eligibility.of_promoter(
        event, parent
    )
    return None if no else Receiver(parent_id, parent.roles)


def _exclude(looks: Sequence[_Look]) -> None:
    """Of the programs of one group that would pay somebody, the one with the oldest active binding
    decides, else the one whose latest eligible touch is newest."""
    groups: dict[str, list[_Look]] = {}
    for look in looks:
        pays = any(reward.amount > 0 for _, reward in look.rewards)
        if pays and look.terms.group is not None:
            groups.setdefault(look.terms.group, []).append(look)
    for group in groups.values():
        bound = {look.program_id: look.bond.bound_at for look in group if look.bond is not None}
        if bound:
            winner = min(bound, key=lambda each: (bound[each], each))
        else:
            winner = max(group, key=lambda look: time(look.eligible[-1])).program_id
        for look in group:
            look.decides = look.program_id == winner


def _new_bond(event: Event, look: _Look) -> Iterator[tuple[int, int]]:
    """The promoter whom the customer is bound to from now on: the largest share, the later touch
    on a tie. None while there is a binding, and none where that only sleeps."""
    if look.claimed or event.customer.member_id is None:
        return
    if event.binds is BindingMode.NONE or look.terms.binding is not event.binds:
        return
    latest = {touch.promoter_id: time(touch) for touch in look.eligible}
    firsts = [share for share in look.shares if share.level == 1]
    if firsts:
        best = max(firsts, key=lambda share: (share.weight_ppm, latest[share.promoter_id]))
        yield look.program_id, best.promoter_id


# ---- the explanation


def _judged(event: Event, look: _Look) -> Iterator[Judged]:
    paid = {reward.promoter_id for share, reward in look.rewards if share.level == 1}
    if look.bond is not None:
        yield look.bond_refusal or Judged(
            look.program_id, look.bond.promoter_id, None, *_of_bond(event, look, look.bond, paid)
        )
    for touch in look.visits:
        yield look.refused.get(touch.id) or Judged(
            look.program_id, touch.promoter_id, touch, *_ranking(event, look, touch, paid)
        )


def _of_bond(event: Event, look: _Look, bond: Bond, paid: set[int]) -> tuple[Verdict, str]:
    if not look.decides:
        return Verdict.OTHER_PROGRAM, OTHER_PROGRAM
    if bond.promoter_id not in paid:
        return Verdict.NO_RULE, _unpaid(event)
    return Verdict.CREDITED, f"bound since {bond.bound_at:%Y-%m-%d %H:%M} UTC"


def _ranking(event: Event, look: _Look, touch: Touch, paid: set[int]) -> tuple[Verdict, str]:
    """The verdict of an eligible touch among the others."""
    if look.bond is not None and touch.promoter_id != look.bond.promoter_id:
        return Verdict.BOUND_TO_OTHER, "the customer is bound to another promoter"
    if not look.decides:
        return Verdict.OTHER_PROGRAM, OTHER_PROGRAM
    if look.bond is not None:
        return Verdict.SUPERSEDED, "the binding to the same promoter decided"
    weight = look.weights.get(touch.id, 0)
    if weight == 0:
        return Verdict.SUPERSEDED, _why_not(event, look)
    if touch.promoter_id not in paid:
        return Verdict.NO_RULE, _unpaid(event)
    if weight == WHOLE_PPM:
        typed = touch.id == event.typed
        return Verdict.CREDITED, "its code was typed" if typed else _WHOLE[look.terms.model]
    return Verdict.CREDITED, f"{weight / 10_000:g} % by {look.terms.model}"


_WHOLE = {
    AttributionModel.LAST_TOUCH: "the last touch before the conversion",
    AttributionModel.FIRST_TOUCH: "the first touch within the window",
    AttributionModel.LINEAR: "the only touch that counts",
    AttributionModel.POSITION_BASED: "the only touch that counts",
    AttributionModel.TIME_DECAY: "the only touch that counts",
}


def _why_not(event: Event, look: _Look) -> str:
    if event.typed in look.weights:
        return "a code was typed"
    if look.terms.model is AttributionModel.FIRST_TOUCH:
        return "an earlier touch took its place"
    return "a later touch took its place"


def _unpaid(event: Event) -> str:
    if event.amount is None:
        return "an order of zero earns nothing"
    return "no rule of the program rewards this"
