"""Sharing a content makes one link of one's own, whoever asks how often, and enrols on the way."""

import asyncio
from datetime import timedelta

import pytest

from core.errors import Mistake
from members.models import Member, Role
from referral import invitations, links, sharing
from referral.errors import NotEnrolled, NotOpenTo, ProgramClosed, ProgramNotFound
from referral.models import Conversion, Enrollment, Link, Program, Share
from tests import factories
from tests.factories import NOW
from tests.members.statements import watched

CONTENT = 3
MINUTE = timedelta(minutes=1)
EMPLOYEE = {Role.MEMBER, Role.EMPLOYEE}


async def member(name: str = "mei") -> Member:
    return (await factories.person(name, Role.EMPLOYEE)).member


async def program(code: str = "friends", **terms: object) -> Program:
    made = await factories.program(code)
    await Program.filter(id=made.id).update(**terms)
    return await Program.get(id=made.id)


async def share(owner: Member, of: str | None = None, content: int = CONTENT) -> Link:
    return await sharing.share(owner, EMPLOYEE, content, of, NOW)


async def test_twenty_at_once_make_one_link_and_one_enrolment(opened: str) -> None:
    await program(auto_enroll=True)
    mei = await member()

    made = await asyncio.gather(*(share(mei) for _ in range(20)))

    [link] = await Link.all()
    assert {each.id for each in made} == {link.id}
    assert (link.owner_id, link.content_id, link.target_url, link.created_at) == (
        mei.id,
        CONTENT,
        None,
        NOW,
    )
    assert await Share.all().count() == await Enrollment.all().count() == 1
    assert await Conversion.all().count() == 1  # the PROMOTION


async def test_everybody_content_and_program_has_a_link_of_its_own(embedded: str) -> None:
    for code in ("friends", "others"):
        await program(code, auto_enroll=True)
    mei, lan = await member(), await member("lan")
    asked = [
        (owner, of, content)
        for owner in (mei, lan)
        for of in ("friends", "others")
        for content in (3, 4)
    ]
    made = {(await share(*each)).code for each in asked}
    assert len(made) == len(asked) == 8
    assert {(await share(*each)).code for each in asked} == made


async def test_without_a_name_it_is_the_first_enrolment_that_goes_on(embedded: str) -> None:
    first, second = await program("friends"), await program("others")
    mei = await member()
    for each in (second, first):
        await invitations.enroll(each.id, mei, NOW)
    assert (await share(mei)).program_id == second.id
    await Program.filter(id=second.id).update(ends_at=NOW + MINUTE)
    assert (await share(mei)).program_id == second.id
    await Program.filter(id=second.id).update(ends_at=NOW)
    assert (await share(mei)).program_id == first.id


async def test_without_an_enrolment_it_is_the_first_program_that_takes_whoever_shares(
    embedded: str,
) -> None:
    await program("asks-first")
    await program("not-mine", auto_enroll=True, open_to="KOC")
    await program("over", auto_enroll=True, ends_at=NOW)
    right = await program("right", auto_enroll=True, open_to="KOC,EMPLOYEE")
    assert (await share(await member())).program_id == right.id


@pytest.mark.parametrize(
    ("terms", "of", "mistake"),
    [
        ({}, "friends", NotEnrolled),
        ({}, None, NotEnrolled),
        ({"auto_enroll": True, "open_to": "KOC"}, "friends", NotOpenTo),
        ({"auto_enroll": True, "open_to": "KOC"}, None, NotEnrolled),
        ({"auto_enroll": True, "ends_at": NOW}, "friends", ProgramClosed),
        ({"auto_enroll": True}, "nobody", ProgramNotFound),
    ],
)
async def test_who_may_not_enrol_on_the_way_gets_no_link(
    embedded: str, terms: dict[str, object], of: str | None, mistake: type[Mistake]
) -> None:
    await program(**terms)
    with pytest.raises(mistake) as refused:
        await share(await member(), of)
    assert refused.value.field == ("program",)
    assert await Link.all().count() == await Enrollment.all().count() == 0


async def test_whose_programs_have_all_ended_is_told_so(embedded: str) -> None:
    terms = await program()
    mei = await member()
    await invitations.enroll(terms.id, mei, NOW)
    made = await share(mei)
    await Program.filter(id=terms.id).update(ends_at=NOW)
    with pytest.raises(ProgramClosed):
        await share(mei)
    assert (await share(mei, "friends")).id == made.id  # what was made is still theirs


async def test_who_is_enrolled_shares_whatever_the_roles_are_now(embedded: str) -> None:
    terms = await program(open_to="KOC")
    mei = await member()
    await invitations.enroll(terms.id, mei, NOW)
    assert (await share(mei, "friends")).owner_id == mei.id


async def test_an_archived_link_is_followed_by_one_new_one(opened: str) -> None:
    await program(auto_enroll=True)
    mei = await member()
    old = await share(mei)
    await links.archive(old, mei.id, NOW)
    assert await sharing.shared(mei.id, [CONTENT], None, NOW) == {}

    made = await asyncio.gather(*(share(mei) for _ in range(5)))

    [fresh] = {each.id for each in made}
    assert fresh != old.id
    assert await Link.all().count() == 2
    assert (await Share.get()).link_id == fresh


async def test_links_of_many_contents_are_found_in_two_statements(embedded: str) -> None:
    await program(auto_enroll=True)
    await program("others", auto_enroll=True)
    mei, lan = await member(), await member("lan")
    made = {content: (await share(mei, None, content)).id for content in (3, 4)}
    elsewhere = await share(mei, "others", 5)
    await share(lan, None, 6)

    with watched() as statements:
        found = await sharing.shared(mei.id, [3, 4, 5, 6], None, NOW)

    assert {content: link.id for content, link in found.items()} == made
    assert len(statements) == 2
    named = await sharing.shared(mei.id, [3, 4, 5, 6], "others", NOW)
    assert {content: link.id for content, link in named.items()} == {5: elsewhere.id}
    assert await sharing.shared(mei.id, [3], "nobody", NOW) == {}
