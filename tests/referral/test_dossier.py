"""What is known of customers is read in as many statements for many as for one."""

from core import database
from members.models import Asset, Member, Role
from referral import customers, dossier, enrollments, invitations, programs
from referral.evidence import Bond
from referral.models import Binding, ConversionType
from tests import factories
from tests.factories import NOW, Stage
from tests.members.statements import watched
from tests.referral.scene import DAY


async def visitors(stage: Stage, count: int) -> list[Member]:
    members = [(await factories.person(f"m{number}-{count}")).member for number in range(count)]
    for number, member in enumerate(members):
        for click in range(number):
            visitor = f"visitor-{count}-{number}-{click}"
            await customers.report(stage.link, visitor, NOW, member_id=member.id, now=NOW)
    return members


async def test_touches_of_many_members_come_in_as_many_statements_as_of_two(opened: str) -> None:
    stage = await factories.stage()
    few, many = await visitors(stage, 2), await visitors(stage, 9)
    counts = []
    for members in (few, many):
        with watched() as statements:
            found = await dossier.read([each.id for each in members])
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert [len(found.touches.get(each.id, ())) for each in many] == [*range(9)]
    one = found.touches[many[1].id][0]
    assert (one.program_id, one.promoter_id, one.link_id) == (
        stage.program.id,
        stage.promoter.member.id,
        stage.link.id,
    )
    promoter = found.promoters[stage.promoter.member.id]
    assert promoter.person.mailbox == "lin@example.com"


async def test_a_visitor_who_is_nobody_has_touches_too(opened: str) -> None:
    stage = await factories.stage()
    await customers.report(stage.link, "visitor-1", NOW, member_id=None, now=NOW)
    found = await dossier.read(["visitor-1", "visitor-2"])
    assert [len(found.touches.get(each, ())) for each in ("visitor-1", "visitor-2")] == [1, 0]


async def test_whoever_is_above_is_found_at_any_depth_and_in_a_circle(opened: str) -> None:
    stage = await factories.stage()
    chain = [(await factories.person(f"m{number}")).member for number in range(5)]
    for lower, upper in zip(chain, [*chain[1:], chain[0]], strict=True):
        await Binding.create(
            program=stage.program, member=lower, promoter=upper, bound_at=NOW, active_key=None
        )
    above = await dossier.above([chain[0].id, stage.shop.member.id])
    assert above[chain[0].id] == {each.id for each in chain[1:]}
    assert stage.shop.member.id not in above


async def test_a_named_parent_is_above_too(opened: str) -> None:
    stage = await factories.stage()
    upper, lower = [(await factories.person(name)).member for name in ("up", "low")]
    await invitations.enroll(stage.program.id, upper, NOW)
    await invitations.enroll(stage.program.id, lower, NOW, parent_id=upper.id)
    assert (await dossier.above([lower.id]))[lower.id] == {upper.id}


async def test_the_version_in_force_is_the_newest_that_has_begun(opened: str) -> None:
    stage = await factories.stage()
    for rate_bps, since in ((2_000, NOW), (3_000, NOW + DAY)):
        rewards = [programs.Reward(ConversionType.ORDER, Asset.CASH, rate_bps)]
        await programs.publish(stage.program.code, rewards, holds_from=since, now=NOW)
    found = (await dossier.read_programs([stage.program.id]))[stage.program.id]

    moment = database.instant("2000-01-01T00:00:00+00:00")
    assert moment is not None
    for at, rate_bps in (
        (moment, 1_000),
        (NOW - DAY, 1_000),
        (NOW, 2_000),
        (NOW + DAY, 3_000),
    ):
        rules = found.in_force(ConversionType.ORDER, at)
        assert [rule.rate_bps for rule in rules] == [rate_bps]
    assert found.in_force(ConversionType.FEE, NOW) == []


async def test_suspensions_roles_and_bindings_come_along(opened: str) -> None:
    stage = await factories.stage()
    lin, mei = stage.promoter.member, (await factories.person("mei", Role.KOC)).member
    enrolled = await invitations.enroll(stage.program.id, lin, NOW)
    await enrollments.suspend(enrolled.id, "on leave", stage.shop.member.id, NOW)
    await Binding.create(program=stage.program, member=mei, promoter=lin, bound_at=NOW)
    found = await dossier.read([mei.id])
    assert found.bonds == {mei.id: {stage.program.id: [Bond(lin.id, NOW)]}}
    assert found.promoters[lin.id].suspended == {stage.program.id: [(NOW, None)]}
    assert Role.MEMBER in found.promoters[lin.id].roles
