"""The rules of attribution said once more: from their own text, as slowly and plainly as possible,
and with none of the product's functions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from math import floor

from members.models import Asset, Role
from referral.evidence import Bond, Event, Promoter, Terms, Touch
from referral.models import AttributionModel, BindingMode, RewardRule, Verdict

Chain = list[tuple[Verdict, bool]]

WHOLE = 1_000_000


@dataclass
class Outcome:
    """What the rules say about one conversion."""

    verdicts: dict[tuple[int, int | None], Verdict] = field(default_factory=dict)  # None: a binding
    shares: dict[tuple[int, int, int], int] = field(default_factory=dict)  # …, promoter, level
    rewards: dict[tuple[int, int, int, Asset], tuple[int, int]] = field(default_factory=dict)
    bonds: dict[int, int] = field(default_factory=dict)


def outcome(
    event: Event,
    touches: Sequence[Touch],
    terms: Mapping[int, Terms],
    promoters: Mapping[int, Promoter],
) -> Outcome:
    """Every program by itself, then every group, then everything said with its verdict."""
    programs = {
        number: Program(event, number, of, promoters, visits(touches, event.typed))
        for number, of in terms.items()
    }
    found = Outcome()
    for number, program in programs.items():
        program.lost = loses(program, [*programs.values()])
        found.verdicts |= program.verdicts()
        if program.lost:
            continue
        found.shares |= {(number, *key): share for key, share in program.shares.items()}
        found.rewards |= {(number, *key): reward for key, reward in program.rewards.items()}
        if (promoter := program.binds()) is not None:
            found.bonds[number] = promoter
    return found


def visits(touches: Sequence[Touch], typed: int | None) -> list[Touch]:
    """Takes the earliest click left, and with it every click that belongs to its visit."""
    left = sorted(
        (each for each in touches if each.id != typed), key=lambda each: (each.touched_at, each.id)
    )
    firsts = [each for each in touches if each.id == typed]
    while left:
        first = left[0]
        firsts.append(first)
        left = [
            click
            for click in left
            if click.visitor != first.visitor
            or click.link_id != first.link_id
            or (click.bot_reason is None) != (first.bot_reason is None)
            or click.touched_at > first.touched_at + timedelta(minutes=30)
        ]
    return sorted(firsts, key=lambda each: (each.touched_at, each.id))


def split(whole: int, weights: Sequence[Fraction | int]) -> list[int]:
    """Rounds everybody down and gives what is left, one by one, to who lacks most."""
    exact = [Fraction(whole * weight) / sum(weights) for weight in weights]
    parts = [floor(each) for each in exact]
    while sum(parts) < whole:
        lacking = [due - part for due, part in zip(exact, parts, strict=True)]
        parts[lacking.index(max(lacking))] += 1
    return parts


def by_model(model: AttributionModel, touched: Sequence[datetime], at: datetime) -> list[int]:
    """The parts per million of touches in time order."""
    count = len(touched)
    if model is AttributionModel.LAST_TOUCH:
        weights = [Fraction(number == count) for number in range(1, count + 1)]
    elif model is AttributionModel.FIRST_TOUCH:
        weights = [Fraction(number == 1) for number in range(1, count + 1)]
    elif model is AttributionModel.TIME_DECAY:
        weights = [half_lives(at - each) for each in touched]
    elif model is AttributionModel.POSITION_BASED and count > 2:
        middle = [Fraction(20, count - 2)] * (count - 2)
        weights = [Fraction(40), *middle, Fraction(40)]
    else:
        weights = [Fraction(1)] * count
    return split(WHOLE, weights)


def half_lives(age: timedelta) -> Fraction:
    """One half for every 7 days, to 100 digits."""
    tick = timedelta(microseconds=1)
    with localcontext() as context:
        context.prec = 100
        return Fraction(Decimal(2) ** -(Decimal(age // tick) / Decimal(timedelta(days=7) // tick)))


def commission(rule: RewardRule, amount: int) -> int:
    if rule.amount is not None:
        whole = rule.amount
    else:
        whole = floor(Fraction(amount * (rule.rate_bps or 0), 10_000) + Fraction(1, 2))
    if rule.cap_per_conversion is not None and whole > rule.cap_per_conversion:
        return rule.cap_per_conversion
    return whole


def best_rule(
    rules: Sequence[RewardRule], asset: Asset, level: int, roles: frozenset[Role]
) -> RewardRule | None:
    fitting = [rule for rule in rules if rule.asset is asset and rule.level == level]
    named = [rule for rule in fitting if rule.role is not None and rule.role in roles]
    unnamed = [rule for rule in fitting if rule.role is None]
    return (named + unnamed + [None])[0]


def is_within(at: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or since <= at) and (until is None or at < until)


def is_same_person(event: Event, promoter: Promoter) -> bool:
    one, other = event.customer, promoter.person
    same_member = one.member_id is not None and one.member_id == other.member_id
    same_mailbox = one.mailbox is not None and one.mailbox == other.mailbox
    same_wechat = any(identity in other.wechat for identity in one.wechat)
    return same_member or same_mailbox or same_wechat


class Program:
    """What one program makes of the conversion, as if there were no other."""

    def __init__(
        self,
        event: Event,
        number: int,
        terms: Terms,
        promoters: Mapping[int, Promoter],
        seen: Sequence[Touch],
    ) -> None:
        self.event, self.number, self.terms, self.promoters = event, number, terms, promoters
        self.lost = False
        self.visits = [each for each in seen if each.program_id == number]
        self.eligible = [each for each in self.visits if self.refusal(each) is None]
        self.bond = self._active_bond()
        self.parts = {} if self.bond else self._parts()
        self.brought = self._brought()
        self.shares = {(promoter, 1): share for promoter, share in self.brought.items()}
        self.rewards: dict[tuple[int, int, Asset], tuple[int, int]] = {}
        if event.amount is not None:
            self._pay(1, {promoter: promoter for promoter in self.brought})
            self._pay(2, {promoter: self._parent(promoter) for promoter in self.brought})

    # ---- what counts

    def _against_promoter(self, promoter: int) -> Chain:
        who, at = self.promoters[promoter], self.event.occurred_at
        asleep = [
            span for span in who.suspended.get(self.number, ()) if is_within(at, span[0], span[1])
        ]
        return [
            (Verdict.PROMOTER_INACTIVE, bool(asleep)),
            (Verdict.SELF_REFERRAL, is_same_person(self.event, who)),
            (Verdict.OWN_DOWNLINE, self.event.customer.member_id in who.above),
        ]

    def _closed(self) -> Chain:
        is_open = is_within(self.event.occurred_at, self.terms.starts_at, self.terms.ends_at)
        return [(Verdict.PROGRAM_CLOSED, not is_open)]

    def _returning(self) -> Chain:
        refuses = self.terms.new_customers_only and self.event.returning
        return [(Verdict.NOT_NEW_CUSTOMER, refuses)]

    def refusal(self, touch: Touch) -> Verdict | None:
        age = self.event.occurred_at - touch.touched_at
        in_window = timedelta(0) <= age <= timedelta(hours=24 * self.terms.window_days)
        chain = [
            (Verdict.BOT, touch.bot_reason is not None),
            (Verdict.LINK_INACTIVE, not is_within(touch.touched_at, None, touch.link_until)),
            *self._closed(),
            *self._against_promoter(touch.promoter_id),
            (Verdict.OUTSIDE_WINDOW, not in_window),
            *self._returning(),
        ]
        return first_that_applies(chain)

    def bond_refusal(self, bond: Bond) -> Verdict | None:
        chain = [*self._closed(), *self._against_promoter(bond.promoter_id), *self._returning()]
        return first_that_applies(chain)

    def _active_bond(self) -> Bond | None:
        """The binding of that moment, unless it sleeps because its promoter is suspended."""
        for bond in self.event.bonds.get(self.number, ()):
            if is_within(self.event.occurred_at, bond.bound_at, bond.ends_at):
                is_asleep = self._against_promoter(bond.promoter_id)[0][1]
                return None if is_asleep else bond
        return None

    def _parts(self) -> dict[int, int]:
        """By touch; what was typed takes it all."""
        if not self.eligible:
            return {}
        if self.event.typed in [each.id for each in self.eligible]:
            return {each.id: WHOLE * (each.id == self.event.typed) for each in self.eligible}
        touched = [each.touched_at for each in self.eligible]
        parts = by_model(self.terms.model, touched, self.event.occurred_at)
        return {each.id: part for each, part in zip(self.eligible, parts, strict=True)}

    def _brought(self) -> dict[int, int]:
        """By promoter, in the order of their first touch with a part."""
        if self.bond is not None:
            return {} if self.bond_refusal(self.bond) else {self.bond.promoter_id: WHOLE}
        brought: dict[int, int] = {}
        for each in self.eligible:
            if self.parts[each.id] > 0:
                before = brought.get(each.promoter_id, 0)
                brought[each.promoter_id] = before + self.parts[each.id]
        return brought

    # ---- who gets what

    def _parent(self, promoter: int) -> int | None:
        parent = self.promoters[promoter].parents.get(self.number)
        if parent is None or first_that_applies(self._against_promoter(parent)):
            return None
        return parent

    def _pay(self, level: int, receiver_of: Mapping[int, int | None]) -> None:
        """Everybody who brought a part, or their parent, takes that part of the rule that is
        theirs; a parent who gets something has a share of level 2."""
        receivers = {each for each in receiver_of.values() if each is not None}
        for receiver in receivers:
            own = [promoter for promoter in self.brought if receiver_of[promoter] == receiver]
            for asset in Asset:
                rule = best_rule(self.terms.rules, asset, level, self.promoters[receiver].roles)
                if rule is None:
                    continue
                whole = commission(rule, self.event.amount or 0)
                parts = split(whole, [*self.brought.values()])
                by_promoter = dict(zip(self.brought, parts, strict=True))
                amount = sum(by_promoter[promoter] for promoter in own)
                self.rewards[receiver, level, asset] = rule.id, amount
                self.shares[receiver, level] = sum(self.brought[promoter] for promoter in own)

    def binds(self) -> int | None:
        """Whom the customer is bound to from now on: where there is none already, asleep or not,
        nor one that begins later, for there is one at most."""
        at = self.event.occurred_at
        bonds = self.event.bonds.get(self.number, ())
        if any(bond.ends_at is None or bond.ends_at > at for bond in bonds):
            return None
        is_moment = self.event.binds is self.terms.binding is not BindingMode.NONE
        if not is_moment or self.event.customer.member_id is None or not self.brought:
            return None
        largest = max(self.brought.values())
        tied = [promoter for promoter, share in self.brought.items() if share == largest]
        return [each.promoter_id for each in self.eligible if each.promoter_id in tied][-1]

    # ---- the explanation

    def verdicts(self) -> dict[tuple[int, int | None], Verdict]:
        found: dict[tuple[int, int | None], Verdict] = {}
        if self.bond is not None:
            unpaid = not self.is_paid(self.bond.promoter_id)
            chain = [(Verdict.OTHER_PROGRAM, self.lost), (Verdict.NO_RULE, unpaid)]
            said = self.bond_refusal(self.bond) or first_that_applies(chain)
            found[self.number, None] = said or Verdict.CREDITED
        for each in self.visits:
            to_other = self.bond is not None and self.bond.promoter_id != each.promoter_id
            chain = [
                (Verdict.BOUND_TO_OTHER, to_other),
                (Verdict.OTHER_PROGRAM, self.lost),
                (Verdict.SUPERSEDED, self.parts.get(each.id, 0) == 0),
                (Verdict.NO_RULE, not self.is_paid(each.promoter_id)),
            ]
            said = self.refusal(each) or first_that_applies(chain)
            found[self.number, each.id] = said or Verdict.CREDITED
        return found

    def is_paid(self, promoter: int) -> bool:
        return any((promoter, 1, asset) in self.rewards for asset in Asset)


def pays(program: Program) -> bool:
    return any(amount > 0 for _, amount in program.rewards.values())


def loses(program: Program, programs: Sequence[Program]) -> bool:
    """Whether another program of the group decides."""
    group = program.terms.group
    if group is None or not pays(program):
        return False
    rivals = [each for each in programs if each.terms.group == group and pays(each)]
    bound = [(each.bond.bound_at, each.number) for each in rivals if each.bond is not None]
    if bound:
        return min(bound)[1] != program.number
    newest = [(each.eligible[-1].touched_at, each.eligible[-1].id, each.number) for each in rivals]
    return max(newest)[2] != program.number


def first_that_applies(chain: Chain) -> Verdict | None:
    return next((verdict for verdict, applies in chain if applies), None)
