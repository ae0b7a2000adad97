"""Rules are checked, published in versions and previewed; the preview is what then happens."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import database, outbox
from core.errors import Invalid, Mistake, Required, TooLong
from core.jobs import Job
from members import publishing, reevaluating, rules, tiers
from members.errors import StaleRules, TiersDiffer, TierStillNamed
from members.models import DowngradePolicy, Standing, Tier, TierChange, TierRules
from members.publishing import Preview, TierRule
from members.standings import Standings
from tests import factories
from tests.core import elsewhere
from tests.factories import NOW
from tests.members import plans, population
from tests.members.plans import all_of, any_of, leaf, spend
from tests.members.population import Settler, reevaluate

AT_EXPIRY, IMMEDIATE, NEVER = (
    DowngradePolicy.AT_EXPIRY,
    DowngradePolicy.IMMEDIATE,
    DowngradePolicy.NEVER,
)
DAY = timedelta(days=1)
THRESHOLDS = {"bronze": 1_000, "silver": 3_000, "gold": 5_000}
ZONE = "Asia/Shanghai"


def draft(code: str = "gold", rank: int = 1, rule: Any = None, **more: Any) -> TierRule:
    return TierRule(code, code.title(), rank, rule or spend(1), **more)


def three(policy: DowngradePolicy = IMMEDIATE) -> list[TierRule]:
    return [
        draft(code, rank, spend(amount), downgrade=policy, validity_days=365)
        for rank, (code, amount) in enumerate(THRESHOLDS.items(), start=1)
    ]


async def publish(drafts: Sequence[TierRule], **more: Any) -> publishing.Published:
    return await publishing.publish(drafts, **({"time_zone": ZONE, "now": NOW} | more))


async def preview(drafts: Sequence[TierRule]) -> Preview:
    return await publishing.preview(drafts, time_zone=ZONE, now=NOW)


async def person(name: str = "mei") -> int:
    return (await factories.person(name)).member.id


# ---- what is refused

FULL = draft(
    rule=any_of(spend(1), leaf("FEE", 1, plan="basic")),
    validity_days=36_500,
    grace_days=36_500,
    downgrade=AT_EXPIRY,
    benefits=["a" * 200] * 50,
)
REFUSED: dict[str, tuple[TierRule, type[Mistake], str]] = {
    "no code": (replace(FULL, code=" "), Required, "code"),
    "a long code": (replace(FULL, code="x" * 41), TooLong, "code"),
    "no name": (replace(FULL, name=""), Required, "name"),
    "a long name": (replace(FULL, name="x" * 101), TooLong, "name"),
    "a name with a tab": (replace(FULL, name="a\tb"), Invalid, "name"),
    "a rank below zero": (replace(FULL, rank=-1), Invalid, "rank"),
    "a rank too high": (replace(FULL, rank=1_000_001), Invalid, "rank"),
    "grace below zero": (replace(FULL, grace_days=-1), Invalid, "graceDays"),
    "too much grace": (replace(FULL, grace_days=36_501), Invalid, "graceDays"),
    "no day of validity": (replace(FULL, validity_days=0), Invalid, "validityDays"),
    "too many days": (replace(FULL, validity_days=36_501), Invalid, "validityDays"),
    "an expiry without days": (replace(FULL, validity_days=None), Invalid, "validityDays"),
    "too many benefits": (replace(FULL, benefits=["a"] * 51), Invalid, "benefits"),
    "an empty benefit": (replace(FULL, benefits=["a", " "]), Required, "benefits.1"),
    "a long benefit": (replace(FULL, benefits=["a" * 201]), TooLong, "benefits.0"),
    "no rule": (replace(FULL, rule={}), Invalid, "rule"),
    "an empty list": (replace(FULL, rule=any_of(spend(1), all_of())), Invalid, "rule.any.1.all"),
    "an unmet leaf": (
        replace(FULL, rule=any_of(spend(1), spend(1, plan="basic"))),
        Invalid,
        "rule.any.1.leaf.plan",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_tier_is_refused_with_its_place(name: str) -> None:
    bad, kind, place = REFUSED[name]
    with pytest.raises(kind) as refused:
        publishing.check([draft("other", 99), bad])
    assert type(refused.value) is kind
    assert refused.value.field == ("rules", "1", *place.split("."))


def test_what_is_just_within_its_limits_is_kept() -> None:
    kept = publishing.check([FULL, replace(FULL, code="x" * 40, name="y" * 100, rank=10**6)])
    assert len(kept) == 2
    assert len(publishing.check([draft(f"t{rank}", rank) for rank in range(20)])) == 20
    assert publishing.check([]) == []


def test_21_tiers_are_refused() -> None:
    with pytest.raises(Invalid) as refused:
        publishing.check([draft(f"t{rank}", rank) for rank in range(21)])
    assert refused.value.field == ("rules",)


def test_a_code_or_a_rank_twice_is_refused_at_the_second() -> None:
    for second, field in ((draft("gold ", 2), "code"), (draft("silver", 1), "rank")):
        with pytest.raises(Invalid) as refused:
            publishing.check([draft("gold", 1), draft("bronze", 3), second])
        assert refused.value.field == ("rules", "2", field)


def measuring(count: int) -> list[TierRule]:
    """Two tiers that ask for so many different things together."""
    days = [spend(1, window="LAST_DAYS", days=day) for day in range(1, count)]
    return [draft("a", 1, any_of(*days[:30])), draft("b", 2, any_of(*days[10:], spend(1)))]


def test_40_things_to_measure_are_kept_and_41_are_refused() -> None:
    assert publishing.check(measuring(40))
    with pytest.raises(Invalid) as refused:
        publishing.check(measuring(41))
    assert refused.value.field == ("rules",)


async def test_what_is_refused_writes_nothing(opened: str) -> None:
    await publish(three())
    before = await everything()
    twice = [draft("gold", 1), draft("gold", 2)]
    for act in (publish(twice), preview(twice), publish(three(), expected_version=2)):
        with pytest.raises(Mistake):
            await act
    assert await everything() == before


async def everything() -> list[Any]:
    return [
        *await population.everything(),
        await TierRules.all().order_by("id").values(),
        await Job.all().order_by("id").values(),
        await outbox.OutboxMessage.all().order_by("id").values(),
    ]


# ---- versions


async def stored() -> list[tuple[str, int, int]]:
    return [(tier.code, tier.rank, tier.rule["leaf"]["atLeast"]) for tier in await tiers.ladder()]


async def test_every_publication_is_a_version_with_its_rules_as_they_were(opened: str) -> None:
    an = await person("an")
    assert await publishing.current_version() == 0
    first = await publish(three(), actor_id=an, expected_version=0)
    second = await publish([draft("gold", 7, spend(9))], time_zone="UTC", now=NOW + DAY)

    assert (first.version, second.version) == (1, 2)
    assert await publishing.current_version() == 2
    old, new = await TierRules.all().order_by("version")
    assert [each["code"] for each in old.rules] == ["bronze", "silver", "gold"]
    assert (old.published_by_id, old.published_at, old.time_zone) == (an, NOW, ZONE)
    assert (new.published_by_id, new.published_at, new.time_zone) == (None, NOW + DAY, "UTC")
    assert new.rules == [
        {
            "code": "gold",
            "name": "Gold",
            "rank": 7,
            "rule": spend(9, window="LIFETIME"),
            "requires_approval": False,
            "validity_days": None,
            "grace_days": 0,
            "downgrade": "NEVER",
            "benefits": [],
        }
    ]
    assert (second.job.kind, second.job.subject_id, second.job.total) == (reevaluating.TOPIC, 2, 1)


async def test_what_is_stored_is_trimmed(opened: str) -> None:
    await publish([TierRule(" gold ", " Gold ", 1, spend(1), benefits=[" tea "])])
    [tier] = await Tier.all()
    assert (tier.code, tier.name, tier.benefits) == ("gold", "Gold", ["tea"])


async def test_a_version_that_is_not_the_newest_is_stale(opened: str) -> None:
    await publish(three(), expected_version=0)
    for version in (0, 2, -1):
        with pytest.raises(StaleRules) as refused:
            await publish([], expected_version=version)
        assert refused.value.field == ("expectedVersion",)
    await publish([], expected_version=1)


async def test_of_many_who_publish_at_once_on_one_version_one_does(opened: str) -> None:
    await publish(three())
    done = await asyncio.gather(
        *(publish([draft(f"t{number}")], expected_version=1) for number in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, publishing.Published) for each in done) == 1
    assert sum(isinstance(each, StaleRules) for each in done) == 4
    assert await TierRules.all().count() == 2
    assert await publishing.current_version() == 2
    assert len(await tiers.ladder()) == 1


async def test_ranks_may_be_swapped_and_tiers_keep_their_rows(opened: str) -> None:
    await publish(three())
    ids = dict(await Tier.all().values_list("code", "id"))
    bronze, silver, gold = three()
    await publish([replace(bronze, rank=3), silver, replace(gold, rank=1)])
    assert await stored() == [("gold", 1, 5_000), ("silver", 2, 3_000), ("bronze", 3, 1_000)]
    assert dict(await Tier.all().values_list("code", "id")) == ids


async def test_a_tier_that_is_left_out_stays_for_the_history_and_comes_back_as_itself(
    opened: str,
) -> None:
    await publish(three())
    ids = dict(await Tier.all().values_list("code", "id"))
    bronze, silver, gold = three()
    for _ in range(2):  # twice: ranks of those left out are unique too
        await publish([silver])
        assert await stored() == [("silver", 2, 3_000)]
        assert [rung.code for rung in (await tiers.current()).rungs] == ["silver"]
    assert {tier.code for tier in await Tier.filter(rank__lt=tiers.LEFT_OUT)} == {"bronze", "gold"}
    await publish([bronze, gold])
    assert await stored() == [("bronze", 1, 1_000), ("gold", 3, 5_000)]
    assert dict(await Tier.all().values_list("code", "id")) == ids


async def test_a_tier_that_is_granted_or_named_cannot_be_left_out(opened: str) -> None:
    await publish(three())
    an, mei, lan = await person("an"), await person("mei"), await person("lan")
    await factories.grant(mei, "gold", an, until=NOW + DAY)
    await factories.grant(lan, "silver", an)
    bronze, silver, gold = three()
    before = await everything()
    for kept, left_out in (([bronze, silver], "gold"), ([bronze, gold], "silver"), ([], "")):
        with pytest.raises(TierStillNamed) as refused:
            await publish(kept)
        assert refused.value.field == ("rules",)
        assert left_out in refused.value.message
    named = [(await Tier.get(code="bronze")).id]
    with pytest.raises(TierStillNamed):
        await publish([silver, gold], named=named)
    assert await everything() == before

    await publish([silver, gold])
    await publish([silver], now=NOW + DAY, named=named)  # the grant is over, bronze is not there


async def test_a_grant_while_its_tier_is_left_out_is_made_before_or_refused(opened: str) -> None:
    await publish(three())
    an, members = await person("an"), [await person(f"m{number}") for number in range(6)]
    await asyncio.gather(
        *(factories.grant(each, "gold", an) for each in members[:3]),
        publish(three()[:2]),
        *(factories.grant(each, "gold", an) for each in members[3:]),
        return_exceptions=True,
    )
    granted = await Standing.filter(floor_tier_id__isnull=False).count()
    assert (granted > 0) == (await publishing.current_version() == 1)


@pytest.mark.postgres
async def test_publishing_beside_workers_that_move_members_ends_in_no_deadlock(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker writes members into gold and into silver, in this order, while the tiers are
    written lowest first."""
    async with database.opened(postgres_url):
        await publish(three())
        first, second = await person("m1"), await person("m2")
        begun, save = asyncio.Event(), Tier.save

        async def slowly(tier: Tier, **more: Any) -> None:
            await save(tier, **more)
            if tier.code == "silver" and not begun.is_set():
                begun.set()
                await elsewhere.waiting(postgres_url, 1)

        @database.unit_of_work
        async def book() -> None:
            await begun.wait()
            booked = await Standings.load([first, second], NOW)
            booked.add_spend(first, 5_000, 1, NOW)
            booked.add_spend(second, 3_000, 2, NOW)
            await booked.save()

        monkeypatch.setattr(Tier, "save", slowly)
        await asyncio.gather(publish(three()), book())

        assert await publishing.current_version() == 2
        assert await TierChange.all().count() == 2


# ---- setting up


async def test_set_up_writes_the_tiers_lowest_first(embedded: str) -> None:
    await publishing.set_up(list(reversed(three())), time_zone=ZONE, now=NOW)
    assert await stored() == [("bronze", 1, 1_000), ("silver", 2, 3_000), ("gold", 3, 5_000)]


async def test_the_same_tiers_again_change_nothing(opened: str) -> None:
    await publishing.set_up(three(), time_zone=ZONE, now=NOW)
    before = await everything()
    await publishing.set_up(three(), time_zone=ZONE, now=NOW + DAY)
    assert await everything() == before


OTHERS = {
    "another policy": three(NEVER),
    "one less": three()[:2],
    "one more": [*three(), draft("board", 4, spend(9_000))],
    "another threshold": [*three()[:2], replace(three()[2], rule=spend(4_999))],
    "another benefit": [*three()[:2], replace(three()[2], benefits=["tea"])],
    "none": [],
}


@pytest.mark.parametrize("name", OTHERS)
async def test_other_tiers_are_refused_and_nothing_changes(embedded: str, name: str) -> None:
    await publishing.set_up(three(), time_zone=ZONE, now=NOW)
    before = await everything()
    with pytest.raises(TiersDiffer):
        await publishing.set_up(OTHERS[name], time_zone=ZONE, now=NOW)
    assert await everything() == before


async def test_many_set_ups_at_once_make_the_tiers_once(opened: str) -> None:
    await asyncio.gather(*(publishing.set_up(three(), time_zone=ZONE, now=NOW) for _ in range(5)))
    assert len(await stored()) == 3
    assert await publishing.current_version() == 1


# ---- the preview is what then happens

CODES = ["silver", "gold", "board"]


@st.composite
def drafts(draw: st.DrawFn) -> list[TierRule]:
    codes = draw(st.lists(st.sampled_from([*CODES, "new", "newer"]), unique=True, max_size=5))
    rules_of = plans.trees(plans.leaves(st.integers(0, 4)))
    return [
        draft(
            code,
            rank,
            rules.stored(draw(rules_of)),
            downgrade=draw(st.sampled_from(DowngradePolicy)),
            validity_days=30,
            requires_approval=draw(st.booleans()),
        )
        for rank, code in enumerate(codes)
    ]


def told(found: Preview, codes: dict[int | None, str]) -> Counter[tuple[str | None, str | None]]:
    names = codes | {number: each.code for number, each in found.drafts.items()}
    return Counter(
        {(names.get(move.source), names.get(move.target)): move.members for move in found.moves}
    )


@settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(wanted=drafts(), seed=st.integers(0, 10**6))
async def test_the_preview_is_what_publishing_then_does_member_by_member(
    opened: str, wanted: list[TierRule], seed: int
) -> None:
    await population.clear()
    await publish([draft(code, rank, spend(0)) for rank, code in enumerate(CODES, start=1)])
    await reevaluate()
    granted = {each.code for each in wanted}
    crowd = await population.settle(
        [
            each if each.floor in granted else replace(each, floor=None, floor_until=None)
            for each in population.drawn(Random(seed), CODES, 25)
        ]
    )
    before = await everything()

    found = await preview(wanted)

    assert await everything() == before
    ids = {number: code for code, number in await Tier.all().values_list("code", "id")}
    expected = told(found, dict(ids))
    await publish(wanted)
    await reevaluate()
    version = await publishing.current_version()
    moves = await TierChange.filter(rules_version=version).select_related("from_tier", "to_tier")
    moved = {
        move.member_id: (
            move.from_tier and move.from_tier.code,
            move.to_tier and move.to_tier.code,
        )
        for move in moves
    }
    assert expected == Counter(moved.values())
    assert (found.evaluated, found.unchanged) == (25, 25 - len(moved))
    names = dict(ids) | {number: each.code for number, each in found.drafts.items()}
    for move in found.moves:
        assert len(move.sample) == len(set(move.sample))
        assert min(move.members, 1) <= len(move.sample) <= min(move.members, publishing.SAMPLE)
        for member_id in move.sample:
            assert moved[member_id] == (names.get(move.source), names.get(move.target))
    sizes = [move.members for move in found.moves]
    assert sizes == sorted(sizes, reverse=True)
    assert (await preview(wanted)).moves == []
    assert set(moved) <= set(crowd.settlers)


async def test_a_new_tier_is_previewed_under_a_number_of_its_own(opened: str) -> None:
    await publish(three())
    [mei] = (await population.settle([Settler()])).settlers
    everybody = draft("everybody", 0, spend(0), benefits=["tea"])
    found = await preview([*three(), everybody])
    assert found.drafts == {-4: replace(everybody, rule=spend(0, window="LIFETIME"))}
    [move] = found.moves
    assert (move.source, move.target, move.members, move.sample) == (None, -4, 1, [mei])


async def test_a_preview_of_many_names_five_of_them(opened: str) -> None:
    await publish(three())
    await population.settle([Settler() for _ in range(40)])
    [move] = (await preview([draft("everybody", 0, spend(0))])).moves
    assert (move.members, len(set(move.sample))) == (40, 5)


async def test_a_preview_of_an_empty_installation_moves_nobody(opened: str) -> None:
    assert await preview(three()) == Preview(
        0,
        0,
        [],
        {-place: checked for place, (checked, _) in enumerate(publishing.check(three()), start=1)},
    )
