"""New rules move everybody in batches, to where each of them would be decided alone."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import database, outbox
from core.jobs import Job, JobStatus
from members import metrics, publishing, reevaluating, rules, tiers
from members.metrics import Measured
from members.models import (
    DowngradePolicy,
    Standing,
    Tier,
    TierApplication,
    TierChange,
    TierMetric,
)
from members.publishing import TierRule
from members.standings import Standings
from members.tiers import Ladder
from tests import factories
from tests.factories import NOW
from tests.members import plans, population
from tests.members.plans import Fact, any_of, leaf, spend
from tests.members.population import Crowd, Settler, reevaluate

AT_EXPIRY, IMMEDIATE, NEVER = (
    DowngradePolicy.AT_EXPIRY,
    DowngradePolicy.IMMEDIATE,
    DowngradePolicy.NEVER,
)
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
CODES = ["silver", "gold", "board"]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reevaluating, "BATCH", 3)


def tier(code: str, rank: int, rule: Any, policy: DowngradePolicy = IMMEDIATE, **more: Any) -> Any:
    days = 365 if policy is AT_EXPIRY else None
    return TierRule(code, code.title(), rank, rule, validity_days=days, downgrade=policy, **more)


async def publish(*drafts: TierRule, now: datetime = NOW) -> Job:
    return (await publishing.publish(drafts, time_zone="Asia/Shanghai", now=now)).job


async def first_rules() -> None:
    """Rules that are never applied to a settled crowd."""
    await publish(*(tier(code, rank, spend(0)) for rank, code in enumerate(CODES, start=1)))
    await reevaluate()


VARIED = [
    tier("silver", 1, any_of(spend(2), leaf("FEE", 2, plan="basic")), AT_EXPIRY, grace_days=7),
    tier("gold", 5, any_of(spend(3, window="LAST_DAYS", days=30), leaf("INVITED_BOUGHT", 1))),
    tier("board", 3, spend(2, window="CALENDAR_YEAR"), NEVER, requires_approval=True),
    tier("new", 0, leaf("POINTS_EARNED", 1, window="LAST_DAYS", days=365)),
]


# ---- everybody ends where they would be decided alone


@st.composite
def drafts(draw: st.DrawFn) -> list[TierRule]:
    """Any rules of up to four tiers, some of them new, some left out."""
    codes = draw(st.lists(st.sampled_from([*CODES, "new"]), unique=True, max_size=4))
    rules_of = plans.trees(plans.leaves(st.integers(0, 4)))
    return [
        tier(
            code,
            rank,
            rules.stored(draw(rules_of)),
            draw(st.sampled_from(DowngradePolicy)),
            requires_approval=draw(st.booleans()),
            grace_days=draw(st.sampled_from([0, 5])),
        )
        for rank, code in enumerate(codes)
    ]


def grounded(settlers: Sequence[Settler], kept: Sequence[TierRule]) -> list[Settler]:
    """The settlers without grants of tiers that these rules leave out."""
    codes = {draft.code for draft in kept}
    return [
        each if each.floor in codes else replace(each, floor=None, floor_until=None)
        for each in settlers
    ]


@settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(wanted=drafts(), seed=st.integers(0, 10**6))
async def test_everybody_ends_where_they_would_be_decided_alone(
    opened: str, wanted: list[TierRule], seed: int
) -> None:
    await population.clear()
    await first_rules()
    settlers = grounded(population.drawn(Random(seed), CODES, 10), wanted)
    crowd = await population.settle(settlers)
    codes = await codes_by_rank()

    job = await publish(*wanted)
    await reevaluate()

    await check_everybody(crowd, codes, job)


async def codes_by_rank() -> dict[str | None, int]:
    return dict(await Tier.all().order_by("rank").values_list("code", "id"))


async def check_everybody(crowd: Crowd, codes: Mapping[str | None, int], job: Job) -> None:
    """Whether the job has ended and each settler stands where a decision about them alone leads,
    with one line of history."""
    size = len(crowd.settlers)
    await job.refresh_from_db()
    assert (job.status, job.done, job.total, job.problems) == (JobStatus.DONE, size, size, [])
    of = await tiers.current()
    for member_id in crowd.settlers:
        before = crowd.state(member_id, codes, of)
        holding = crowd.holding(member_id, of, NOW)
        after = tiers.decide(of, before, holding, NOW)
        assert await population.state(member_id, of) == after
        await check_history(crowd, member_id, before.tier, after.tier, of)
        await check_review(crowd, member_id, after, of)
        for tier_id in before.approved - after.approved:
            row = await TierApplication.get(member_id=member_id, tier_id=tier_id)
            assert (row.lapsed_at, row.standing_key) == (NOW, None)


async def check_history(
    crowd: Crowd, member_id: int, source: int | None, target: int | None, of: Ladder
) -> None:
    moves = await TierChange.filter(member_id=member_id, rules_version=of.version)
    if source == target:
        assert moves == []
        return
    [move] = moves
    assert (move.from_tier_id, move.to_tier_id, move.reason, move.at, move.actor_id) == (
        source,
        target,
        "RULES_CHANGED",
        NOW,
        None,
    )
    settler = crowd.settlers[member_id]
    lifetime = {metric.value: settler.total(metric) for metric in TierMetric}
    windowed = {term.label: value for term, value in crowd.values(member_id, of, NOW).items()}
    assert move.metrics == lifetime | windowed


async def check_review(crowd: Crowd, member_id: int, after: tiers.State, of: Ladder) -> None:
    """The review is planned for when the first of what ends does; never too early to matter, and
    never more than three milliseconds late."""
    facts = crowd.settlers[member_id].facts
    oldest: dict[Any, datetime] = {}
    for term in of.terms:
        since = term.since(NOW, of.zone)
        inside = [
            fact.at
            for fact in facts
            if fact.metric is term.metric and term.plan in {None, fact.plan}
            if since is not None and fact.at >= since
        ]
        if inside:
            oldest[term] = min(inside)
    due = metrics.review_at(of, Measured(member_id, after, {}, oldest), NOW)
    found = (await Standing.get(member_id=member_id)).review_at
    if due is None or found is None:
        assert due == found
    else:
        assert due - MOMENT <= found <= due + timedelta(milliseconds=3)


# ---- what it does, one by one


async def settled(*settlers: Settler) -> list[int]:
    return sorted((await population.settle(settlers)).settlers)


async def codes_of(member_ids: Sequence[int]) -> list[str | None]:
    rows = (
        await Standing.filter(member_id__in=member_ids).order_by("member_id").select_related("tier")
    )
    return [row.tier and row.tier.code for row in rows]


SPENT = [Settler([Fact(TierMetric.SPEND, NOW, amount)]) for amount in range(7)]


async def test_exactly_the_threshold_moves_and_one_below_stays(opened: str) -> None:
    members = await settled(*SPENT)
    job = await publish(tier("silver", 1, spend(3)), tier("gold", 2, spend(5)))
    await reevaluate()
    assert await codes_of(members) == [None, None, None, "silver", "silver", "gold", "gold"]
    assert await TierChange.all().count() == 4
    await job.refresh_from_db()
    assert (job.done, job.total, job.position, job.ended_at) == (7, 7, members[-1], NOW)


async def test_the_same_rules_again_change_nobody(opened: str) -> None:
    members = await settled(*SPENT)
    for _ in range(3):
        await publish(*VARIED)
        await reevaluate()
    before = await population.everything()
    await publish(*VARIED)
    await reevaluate()
    assert await population.everything() == before
    assert await codes_of(members) == [None, None, "silver", "gold", "gold", "gold", "gold"]


async def test_the_actor_of_the_moves_is_who_published(opened: str) -> None:
    an = (await factories.person("an")).member.id
    await settled(*SPENT)
    await publishing.publish([tier("silver", 1, spend(3))], time_zone="UTC", now=NOW, actor_id=an)
    await reevaluate()
    assert {row.actor_id for row in await TierChange.all()} == {an}


async def test_a_tier_that_is_left_out_drops_its_members_whatever_its_policy(opened: str) -> None:
    for policy in DowngradePolicy:
        await publish(tier("silver", 1, spend(3), policy), tier("gold", 2, spend(5), policy))
        await reevaluate()
        members = await settled(replace(SPENT[6], earned="gold"), replace(SPENT[0], earned="gold"))
        await publish(tier("silver", 1, spend(3), policy))
        await reevaluate()
        assert await codes_of(members) == ["silver", None]
        reasons = TierChange.filter(member_id__in=members, from_tier_id__isnull=False)
        assert [row.reason for row in await reasons] == ["RULES_CHANGED"] * 2


async def test_a_floor_survives_new_rules_and_ends_in_its_time(opened: str) -> None:
    await first_rules()
    members = await settled(
        Settler(floor="gold"),
        Settler(floor="gold", floor_until=NOW + MOMENT),
        Settler(floor="gold", floor_until=NOW),
    )
    await publish(*(tier(code, rank, spend(10**9)) for rank, code in enumerate(CODES)))
    await reevaluate()
    assert await codes_of(members) == ["gold", "gold", None]
    rows = await Standing.all().order_by("member_id")
    assert [row.review_at for row in rows] == [None, NOW + MOMENT, None]
    assert rows[2].floor_tier_id is None


async def test_rules_that_measure_as_much_as_may_be_are_applied(opened: str) -> None:
    """Databases limit how many arguments a function takes: the history names every term."""
    members = await settled(*SPENT)
    many = any_of(
        *(spend(6, window="LAST_DAYS", days=days) for days in range(1, 31)),
        spend(6),
        spend(6, window="CALENDAR_YEAR"),
    )
    more = any_of(*(leaf("FEE", 1, plan=f"plan {number}") for number in range(8)))
    job = await publish(tier("silver", 1, many), tier("gold", 2, more))
    assert len((await tiers.current()).terms) == publishing.MOST_TERMS
    await reevaluate()
    await job.refresh_from_db()
    assert (job.status, await codes_of(members)) == (JobStatus.DONE, [None] * 6 + ["silver"])
    [change] = await TierChange.all()
    assert len(change.metrics) == 5 + publishing.MOST_TERMS


async def test_a_window_s_end_is_planned_though_nobody_moves(opened: str) -> None:
    [mei] = await settled(Settler([Fact(TierMetric.SPEND, NOW - DAY, 1)]))
    await publish(tier("gold", 1, spend(5, window="CALENDAR_YEAR")))
    await reevaluate()
    turn = datetime.fromisoformat("2027-01-01T00:00+08:00")
    assert (await Standing.get(member_id=mei)).review_at == turn
    await publish(tier("gold", 1, spend(5)))
    await reevaluate()
    assert (await Standing.get(member_id=mei)).review_at is None


# ---- killed, resumed, taken over


class Failed(Exception):
    """Ends a batch, of which its worker can still tell."""


class Killed(BaseException):
    """Ends a worker where it stands."""


@dataclass
class Trap:
    """Raises at one call of a function of the module."""

    patch: pytest.MonkeyPatch
    error: type[BaseException] = Failed

    async def work(self, where: str, call: int) -> None:
        """Works until the function is called for this time."""
        calls, kept = 0, getattr(reevaluating, where)

        async def counted(*arguments: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == call:
                raise self.error
            return await kept(*arguments, **more)

        with self.patch.context() as patch:
            patch.setattr(reevaluating, where, counted)
            with pytest.raises(self.error):
                await reevaluating.work(lambda: NOW)


async def due_again() -> None:
    """Has the wait of a failed row, or the lease of a dead worker, pass at once."""
    await outbox.OutboxMessage.filter(done_at__isnull=True).update(available_at=NOW)


# At which call of what it ends, and how many were done by then; None where the crowd decides it.
POINTS: list[tuple[str, int, int | None]] = [
    ("advance", 1, 0),
    ("advance", 3, 6),
    ("_lock_next", 5, 11),
    ("_move", 2, 3),
    ("_record", 4, None),
    ("_write", 4, None),
    ("_lapse", 1, None),
]


@pytest.mark.parametrize("error", [Failed, Killed])
@pytest.mark.parametrize("point", POINTS, ids=str)
async def test_a_killed_re_evaluation_goes_on_and_ends_as_if_it_had_not_been(
    opened: str,
    monkeypatch: pytest.MonkeyPatch,
    point: tuple[str, int, int | None],
    error: type[BaseException],
) -> None:
    where, call, done = point
    await first_rules()
    crowd = await population.settle(population.drawn(Random(7), CODES, 11))
    codes = await codes_by_rank()
    job = await publish(*VARIED)

    await Trap(monkeypatch, error).work(where, call)

    await job.refresh_from_db()
    assert job.done in ({done} if done is not None else {0, 3, 6, 9})
    assert not await reevaluating.work(lambda: NOW)  # it waits, or another one has it
    await due_again()
    await reevaluate()
    await check_everybody(crowd, codes, job)


@pytest.mark.parametrize("before", [0, 1, 2])
async def test_whoever_was_taken_over_writes_nothing_more(opened: str, before: int) -> None:
    await first_rules()
    crowd = await population.settle(population.drawn(Random(8), CODES, 11))
    codes = await codes_by_rank()
    job = await publish(*VARIED)
    slow = await outbox.claim(reevaluating.TOPIC, NOW, most=1)
    for _ in range(before):
        assert await reevaluating.advance(slow, NOW)
    await due_again()
    quick = await outbox.claim(reevaluating.TOPIC, NOW, most=1)
    halfway = await population.everything(), await Job.all().values()

    for _ in range(2):
        with pytest.raises(outbox.LeaseLost):
            await reevaluating.advance(slow, NOW)
        assert (await population.everything(), await Job.all().values()) == halfway

    while await reevaluating.advance(quick, NOW):
        pass
    with pytest.raises(outbox.LeaseLost):
        await reevaluating.advance(slow, NOW)
    await check_everybody(crowd, codes, job)


async def test_a_batch_holds_the_claim_for_as_long_as_it_gets_on(opened: str) -> None:
    await first_rules()
    await settled(*SPENT)
    await publish(tier("silver", 1, spend(3)))
    now = NOW
    claims = await outbox.claim(reevaluating.TOPIC, now, most=1)
    while await reevaluating.advance(claims, now):
        assert await outbox.claim(reevaluating.TOPIC, now + outbox.LEASE - MOMENT) == []
        now += outbox.LEASE - MOMENT
    assert now - NOW > 2 * outbox.LEASE


async def test_a_job_that_gets_on_is_never_given_up(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine attempts fail, the tenth gets on before it does: that is the first failure again."""
    await first_rules()
    members = await settled(*SPENT)
    job = await publish(tier("silver", 1, spend(3)))
    for _ in range(outbox.MAX_ATTEMPTS - 1):
        await Trap(monkeypatch).work("advance", 1)
        await due_again()
    await Trap(monkeypatch).work("advance", 2)
    assert await outbox.dead() == []
    await due_again()
    await reevaluate()
    await job.refresh_from_db()
    assert (job.status, job.done) == (JobStatus.DONE, 7)
    assert await codes_of(members) == [None] * 3 + ["silver"] * 4


async def test_a_job_that_never_gets_on_fails_and_the_next_one_does_its_work(
    opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await first_rules()
    members = await settled(*SPENT)
    job = await publish(tier("silver", 1, spend(3)))
    for _ in range(outbox.MAX_ATTEMPTS):
        await Trap(monkeypatch).work("advance", 1)
        await due_again()
    await job.refresh_from_db()
    assert (job.status, job.done, len(job.problems)) == (JobStatus.FAILED, 0, 1)
    again = await publish(tier("silver", 1, spend(3)))
    await reevaluate()
    await again.refresh_from_db()
    assert (again.status, again.done) == (JobStatus.DONE, 7)
    assert await codes_of(members) == [None] * 3 + ["silver"] * 4


async def test_a_job_whose_rules_are_no_longer_the_newest_ends(opened: str) -> None:
    await first_rules()
    members = await settled(*SPENT)
    first = await publish(tier("silver", 1, spend(1)))
    claims = await outbox.claim(reevaluating.TOPIC, NOW, most=1)
    assert await reevaluating.advance(claims, NOW)
    second = await publish(tier("silver", 1, spend(2)))

    assert not await reevaluating.advance(claims, NOW)

    await first.refresh_from_db()
    assert (first.status, first.done, first.ended_at) == (JobStatus.DONE, 3, NOW)
    assert first.problems == ["version 3 was published meanwhile"]
    assert await codes_of(members) == [None, "silver", "silver"] + [None] * 4
    await reevaluate()
    await second.refresh_from_db()
    assert (second.status, second.done, second.problems) == (JobStatus.DONE, 7, [])
    assert await codes_of(members) == [None, None] + ["silver"] * 5


async def test_two_jobs_at_once_are_done_one_after_the_other(opened: str) -> None:
    """They are of one lane: the second is that of the newest rules."""
    await first_rules()
    members = await settled(*SPENT)
    await publish(tier("silver", 1, spend(3)))
    await publish(tier("silver", 1, spend(4)))
    await asyncio.gather(*(reevaluate() for _ in range(4)))
    assert await codes_of(members) == [None] * 4 + ["silver"] * 3
    assert {job.status for job in await Job.all()} == {JobStatus.DONE}


async def test_facts_that_are_booked_meanwhile_are_seen(opened: str) -> None:
    """Orders of everybody, between and beside the batches: each ends in the tier of its spend."""
    await factories.ladder(IMMEDIATE)
    await reevaluate()
    members = await settled(*SPENT)
    await publish(tier("silver", 1, spend(4)), tier("gold", 2, spend(7)))

    @database.unit_of_work
    async def book(member_id: int, place: int) -> None:
        booked = await Standings.load([member_id], NOW)
        booked.add_spend(member_id, 1, 10**6 + place, NOW)
        await booked.save()

    await asyncio.gather(
        *(book(each, place) for place, each in enumerate(members)),
        *(reevaluate() for _ in range(2)),
    )
    assert await codes_of(members) == [None] * 3 + ["silver"] * 3 + ["gold"]


async def test_nobody_to_move_is_a_job_that_is_done(opened: str) -> None:
    job = await publish(tier("silver", 1, spend(3)))
    assert (job.status, job.total, job.ended_at) == (JobStatus.DONE, 0, NOW)
    assert not await reevaluating.work(lambda: NOW)
