"""Owns what is known of some customers for deciding who brought them: read in a fixed number of
statements, whatever their number.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from core import database, dialect
from members.identity import mailbox
from members.models import Asset, Role
from referral.evidence import Bond, Event, Person, Promoter, Terms, Touch
from referral.models import (
    AttributionModel,
    BindingMode,
    Conversion,
    ConversionType,
    RewardRule,
)

NOBODY = Person(None)

_TOUCHES = """
SELECT {owner} AS member_id, touch.id, touch.link_id, link.program_id, link.owner_id, touch.visitor,
    touch.touched_at, touch.bot_reason, link.archived_at, link.expires_at
FROM {source} JOIN link ON link.id = touch.link_id WHERE {scope}
"""
_BONDS = """
SELECT member_id, program_id, promoter_id, bound_at, ends_at FROM binding
WHERE member_id {listed} ORDER BY bound_at, id
"""
_ENROLLMENTS = """
SELECT enrollment.member_id, program_id, parent_id, suspended_at, resumed_at FROM enrollment
LEFT JOIN suspension ON suspension.enrollment_id = enrollment.id
WHERE enrollment.member_id {either}
"""
_THEMSELVES_OR_PARENTS = """
SELECT member_id FROM enrollment WHERE member_id {listed}
UNION SELECT parent_id FROM enrollment WHERE member_id {listed}
"""
# From every promoter to whoever brought them, by a binding or as their parent, and on from there.
_ABOVE = """
WITH RECURSIVE above (member_id, above_id) AS (
    SELECT id, id FROM member WHERE id {listed}
    UNION
    SELECT above.member_id,
        CASE side.number WHEN 1 THEN binding.promoter_id ELSE enrollment.parent_id END
    FROM above CROSS JOIN (SELECT 1 AS number UNION ALL SELECT 2) AS side
    LEFT JOIN binding ON side.number = 1 AND binding.member_id = above.above_id
    LEFT JOIN enrollment ON side.number = 2 AND enrollment.member_id = above.above_id
    WHERE CASE side.number WHEN 1 THEN binding.promoter_id ELSE enrollment.parent_id END IS NOT NULL
)
SELECT member_id, above_id FROM above WHERE member_id <> above_id
"""
_PEOPLE = """
SELECT member.id, member.email, wechat.openid, wechat.unionid, member_role.role FROM member
LEFT JOIN wechat_identity AS wechat ON wechat.member_id = member.id
LEFT JOIN member_role ON member_role.member_id = member.id
WHERE member.id {listed}
"""
_PROGRAMS = """
SELECT program.id AS program_id, model, window_days, binding, binding_days, new_customers_only,
    exclusive_group, hold_days, starts_at, ends_at, rule_version.version, holds_from,
    reward_rule.id AS rule_id, reward_rule."on" AS event, asset, rate_bps, amount, level, role,
    cap_per_conversion
FROM program
LEFT JOIN rule_version ON rule_version.program_id = program.id
LEFT JOIN reward_rule ON reward_rule.program_id = program.id
    AND reward_rule.version = rule_version.version
WHERE program.id {listed} ORDER BY program.id, rule_version.version DESC, reward_rule.id
"""
_EARLIER = """
SELECT visitor, MIN(occurred_at) AS first_order_at FROM conversion
WHERE visitor {listed} AND type = 'ORDER' AND amount_minor > 0 AND status <> 'PARKED'
GROUP BY visitor
"""


@dataclass(slots=True)
class Program:
    """A program's terms, and its rules by version, the newest first."""

    terms: Terms
    binding_days: int | None
    hold_days: int
    versions: dict[int, datetime | None] = field(default_factory=dict)
    rules: dict[int, list[RewardRule]] = field(default_factory=lambda: defaultdict(list))

    def in_force(self, kind: ConversionType, at: datetime) -> Sequence[RewardRule]:
        """The rules for what happened then."""
        for version, since in self.versions.items():
            if since is None or since <= at:
                return [rule for rule in self.rules[version] if rule.on is kind]
        return []


@dataclass(slots=True)
class Dossier:
    """What `read` found. Customers without a member go by their visitor."""

    touches: Mapping[int | str, Sequence[Touch]] = field(default_factory=dict)
    bonds: dict[int, dict[int, list[Bond]]] = field(default_factory=dict)  # by member, program
    programs: Mapping[int, Program] = field(default_factory=dict)
    people: Mapping[int, Person] = field(default_factory=dict)
    promoters: Mapping[int, Promoter] = field(default_factory=dict)
    first_orders: Mapping[str, datetime | None] = field(default_factory=dict)  # by visitor

    def touches_of(self, conversion: Conversion) -> Sequence[Touch]:
        """All touches of the customer."""
        return self.touches.get(customer(conversion) or "", ())

    def event(
        self, conversion: Conversion, first_order_at: datetime | None
    ) -> tuple[Event, Mapping[int, Terms]]:
        """The conversion as the decision sees it, and the terms of every program in question."""
        at = conversion.occurred_at
        member_id = conversion.member_id
        bonds = {} if member_id is None else self.bonds.get(member_id, {})
        returning = first_order_at is not None and first_order_at < at
        event = Event(
            customer=NOBODY if member_id is None else self.people.get(member_id, NOBODY),
            occurred_at=at,
            amount=worth(conversion),
            returning=returning,
            binds=_binds(conversion, returning=returning),
            typed=conversion.code_touch_id,
            bonds=bonds,
        )
        programs = {each.program_id for each in self.touches_of(conversion)} | {*bonds}
        return event, {
            each: self.programs[each].terms.with_rules(
                self.programs[each].in_force(conversion.type, at)
            )
            for each in programs
        }

    def bind(self, conversion: Conversion, program_id: int, promoter_id: int) -> Bond:
        """Notes that the customer is the promoter's from now on."""
        days = self.programs[program_id].binding_days
        since = conversion.occurred_at
        bond = Bond(promoter_id, since, None if days is None else since + timedelta(days=days))
        of_member = self.bonds.setdefault(conversion.member_id or 0, {})
        of_member.setdefault(program_id, []).append(bond)
        return bond


def customer(conversion: Conversion) -> int | str | None:
    """Whose touches count: the member's, or else the visitor's."""
    return conversion.visitor if conversion.member_id is None else conversion.member_id


def worth(conversion: Conversion) -> int | None:
    """What rates apply to; None for a payment of nothing, which earns nothing at all."""
    if conversion.type in (ConversionType.REGISTRATION, ConversionType.PROMOTION):
        return 0
    if conversion.amount_minor == 0:
        return None
    commissionable = conversion.commissionable_minor
    return conversion.amount_minor if commissionable is None else commissionable


def _binds(conversion: Conversion, *, returning: bool) -> BindingMode:
    if conversion.type is ConversionType.REGISTRATION:
        return BindingMode.ON_REGISTRATION
    paid = conversion.type is ConversionType.ORDER and conversion.amount_minor > 0
    return BindingMode.ON_FIRST_ORDER if paid and not returning else BindingMode.NONE


async def read(customers: Iterable[int | str]) -> Dossier:
    """Everything that decides who brought these members and visitors."""
    customers = {*customers}
    members = {each for each in customers if isinstance(each, int)}
    visitors = {each for each in customers if isinstance(each, str)}
    found = Dossier(touches=await _touches(members, visitors))
    if members:
        found.bonds = await _bonds(members)
    if visitors:
        found.first_orders = await _first_orders(visitors)
    touches = [touch for some in found.touches.values() for touch in some]
    bonds = [
        (program_id, bond)
        for programs in found.bonds.values()
        for program_id, some in programs.items()
        for bond in some
    ]
    promoters = {each.promoter_id for each in touches} | {bond.promoter_id for _, bond in bonds}
    if promoters:
        programs = {each.program_id for each in touches} | {each for each, _ in bonds}
        found.programs = await read_programs(programs)
        found.people, found.promoters = await _people(promoters, members)
    return found


async def _touches(
    members: Collection[int], visitors: Collection[str]
) -> Mapping[int | str, Sequence[Touch]]:
    selects = []
    values = [dialect.as_list(each) for each in (members, visitors) if each]
    if members:
        own = "visitor JOIN touch ON touch.visitor = visitor.id"
        scope = f"visitor.member_id {dialect.listed(1)}"
        selects.append(_TOUCHES.format(owner="visitor.member_id", source=own, scope=scope))
    if visitors:
        scope = f"touch.visitor {dialect.listed(len(selects) + 1)}"
        nobody = "CAST(NULL AS BIGINT)"
        selects.append(_TOUCHES.format(owner=nobody, source="touch", scope=scope))
    found: dict[int | str, list[Touch]] = defaultdict(list)
    if not selects:
        return found
    for row in await database.rows(" UNION ALL ".join(selects), *values):
        owner = row["visitor"] if row["member_id"] is None else row["member_id"]
        found[owner].append(_touch(row))
    return found


def _touch(row: Mapping[str, Any]) -> Touch:
    ends = [database.instant(row[column]) for column in ("archived_at", "expires_at")]
    return Touch(
        id=row["id"],
        link_id=row["link_id"],
        program_id=row["program_id"],
        promoter_id=row["owner_id"],
        visitor=row["visitor"],
        touched_at=_at(row["touched_at"]),
        bot_reason=row["bot_reason"],
        link_until=min((each for each in ends if each is not None), default=None),
    )


async def _bonds(members: Collection[int]) -> dict[int, dict[int, list[Bond]]]:
    found: dict[int, dict[int, list[Bond]]] = {}
    for row in await _about(members, _BONDS):
        programs = found.setdefault(row["member_id"], {})
        bond = Bond(row["promoter_id"], _at(row["bound_at"]), database.instant(row["ends_at"]))
        programs.setdefault(row["program_id"], []).append(bond)
    return found


async def _first_orders(visitors: Collection[str]) -> Mapping[str, datetime | None]:
    rows = await _about(visitors, _EARLIER)
    return {row["visitor"]: database.instant(row["first_order_at"]) for row in rows}


async def read_programs(program_ids: Collection[int]) -> Mapping[int, Program]:
    """The programs with all their rules, in one statement."""
    found: dict[int, Program] = {}
    for row in await _about(program_ids, _PROGRAMS):
        program = found.setdefault(row["program_id"], _program(row))
        if row["version"] is None:
            continue
        program.versions[row["version"]] = database.instant(row["holds_from"])
        if row["rule_id"] is not None:
            program.rules[row["version"]].append(_rule(row))
    return found


def _program(row: Mapping[str, Any]) -> Program:
    return Program(
        Terms(
            window_days=row["window_days"],
            model=AttributionModel(row["model"]),
            binding=BindingMode(row["binding"]),
            new_customers_only=bool(row["new_customers_only"]),
            group=row["exclusive_group"],
            starts_at=database.instant(row["starts_at"]),
            ends_at=database.instant(row["ends_at"]),
        ),
        row["binding_days"],
        row["hold_days"],
    )


def _rule(row: Mapping[str, Any]) -> RewardRule:
    return RewardRule(
        id=row["rule_id"],
        program_id=row["program_id"],
        version=row["version"],
        on=ConversionType(row["event"]),
        asset=Asset(row["asset"]),
        rate_bps=row["rate_bps"],
        amount=row["amount"],
        level=row["level"],
        role=row["role"] and Role(row["role"]),
        cap_per_conversion=row["cap_per_conversion"],
    )


async def _people(
    promoters: Collection[int], customers: Collection[int]
) -> tuple[Mapping[int, Person], Mapping[int, Promoter]]:
    """The persons behind all of these, and the promoters with their parents."""
    parents: dict[int, dict[int, int]] = defaultdict(dict)
    spans: dict[int, dict[int, list[tuple[datetime, datetime | None]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    either = _THEMSELVES_OR_PARENTS.format(listed=dialect.listed(1))
    enrollments = _ENROLLMENTS.format(either=dialect.among(either))
    for row in await database.rows(enrollments, dialect.as_list(promoters)):
        member_id, program_id = row["member_id"], row["program_id"]
        if row["parent_id"] is not None:
            parents[member_id][program_id] = row["parent_id"]
        if row["suspended_at"] is not None:
            until = database.instant(row["resumed_at"])
            spans[member_id][program_id].append((_at(row["suspended_at"]), until))
    everybody = {*promoters} | {each for of in parents.values() for each in of.values()}
    over = await above(everybody)
    people: dict[int, Person] = {}
    roles: dict[int, set[Role]] = defaultdict(lambda: {Role.MEMBER})
    for row in await _about({*everybody, *customers}, _PEOPLE):
        known = frozenset(each for each in (row["openid"], row["unionid"]) if each is not None)
        people[row["id"]] = Person(row["id"], mailbox(row["email"]), known)
        if row["role"] is not None:
            roles[row["id"]].add(Role(row["role"]))
    return people, {
        each: Promoter(
            people[each],
            frozenset(roles[each]),
            frozenset(over.get(each, ())),
            parents[each],
            spans[each],
        )
        for each in everybody
    }


async def above(member_ids: Collection[int]) -> Mapping[int, set[int]]:
    """Who brought each of these members, by a binding or as their parent, at any depth; in one
    statement."""
    found: dict[int, set[int]] = defaultdict(set)
    for row in await _about(member_ids, _ABOVE):
        found[row["member_id"]].add(row["above_id"])
    return found


def _at(value: Any) -> datetime:
    at = database.instant(value)
    assert at is not None  # noqa: S101 - asked of columns without nulls alone
    return at


async def _about(known: Collection[int] | Collection[str], sql: str) -> list[dict[str, Any]]:
    """What the statement finds for this list."""
    return await database.rows(sql.format(listed=dialect.listed(1)), dialect.as_list(known))
