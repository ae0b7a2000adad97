"""A link is a promoter's, leads to allowed hosts alone, and a misspelt code costs no statement."""

from datetime import timedelta

import pytest

from core import codes
from core.audit import AuditEntry
from core.errors import Invalid, Mistake, Required, TooLong
from members.models import Member, Role
from referral import invitations, links
from referral.errors import (
    LinkArchived,
    NotEnrolled,
    ProgramClosed,
    ProgramNotFound,
    TargetNotAllowed,
)
from referral.links import NewLink
from referral.models import Link, Program
from tests import factories
from tests.factories import NOW
from tests.members.statements import watched

MINUTE = timedelta(minutes=1)
HOSTS = ["shop.example", "tea.example"]


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://shop.example/",
        "http://shop.example/tea?cup=2#top",
        "https://shop.example:8443/tea",
        "https://tea.example/?next=https://evil.example/",
        "https://SHOP.Example/tea",
        "HTTPS://shop.example/tea",
        "https://shop.example/茶",
        "https://shop.example/@lin",
    ],
)
def test_a_target_on_an_allowed_host_is_allowed(url: str) -> None:
    links.check_target(url, HOSTS)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tea",
        "/tea",
        "//shop.example/tea",
        "///shop.example/tea",
        "shop.example/tea",
        "https:shop.example",
        "https:/shop.example",
        "https:///shop.example",
        "https://",
        "https://evil.example/",
        "https://evil.example/shop.example",
        "https://shop.example.evil.example/",
        "https://evilshop.example/",
        "https://sub.shop.example/",
        "https://shop.example./",
        "https://shop.example%2eevil.example/",
        "https://shop.example@evil.example/",
        "https://evil.example@shop.example/",
        "https://lin:secret@shop.example/",
        "https://@shop.example/",
        "https://evil.example#@shop.example/",
        "https://evil.example?@shop.example/",
        "https://evil.example\\@shop.example/",
        "https://shop.example\\@evil.example/",
        "https:\\\\shop.example/",
        "https:/\\shop.example/",
        "https://shop.example/\\evil.example",
        "javascript:alert(1)",
        "javascript://shop.example/%0aalert(1)",
        "JaVaScRiPt://shop.example/",
        "data:text/html,shop.example",
        "ftp://shop.example/",
        "file://shop.example/etc/passwd",
        " https://shop.example/",
        "https://shop.example/ ",
        "https://shop.example/a b",
        "java\tscript://shop.example/",
        "ht\ntps://shop.example/",
        "https://shop.example/\r\nSet-Cookie: a=b",
        "https://shop.example/\x00",
        "\x01https://shop.example/",
        "https://shop.example/\x1f",
        "https://ѕhop.example/",
    ],
)
def test_any_other_target_is_refused(url: str) -> None:
    with pytest.raises(TargetNotAllowed) as refused:
        links.check_target(url, HOSTS)
    assert refused.value.field == ("targetUrl",)


@pytest.mark.parametrize("url", ["https://[shop.example/", "https://shop.example／evil.example/"])
def test_a_target_that_cannot_be_taken_apart_is_refused_too(url: str) -> None:
    with pytest.raises(TargetNotAllowed):
        links.check_target(url, HOSTS)


def test_without_allowed_hosts_every_target_is_refused() -> None:
    with pytest.raises(TargetNotAllowed):
        links.check_target("https://shop.example/", [])


async def test_a_link_is_kept_as_it_was_made(opened: str) -> None:
    stage = await factories.stage()
    row = await Link.get(id=stage.link.id)
    assert (row.owner_id, row.program_id, row.target_url, row.content_id, row.created_at) == (
        stage.promoter.member.id,
        stage.program.id,
        "https://shop.example/tea?cup=2",
        None,
        NOW,
    )
    assert codes.fold(row.code) == row.code


async def test_a_refused_target_writes_nothing(embedded: str) -> None:
    stage = await factories.stage()
    with pytest.raises(Invalid):
        await links.set_up(
            program_id=stage.program.id,
            owner_id=stage.promoter.member.id,
            target_url="https://evil.example/",
            allowed_hosts=HOSTS,
            now=NOW,
        )
    assert await Link.all().count() == 1


async def test_a_link_to_a_content_needs_no_host_and_a_given_code_is_made_once(
    embedded: str,
) -> None:
    stage = await factories.stage()
    code = codes.new()
    made = [
        await links.set_up(
            program_id=stage.program.id,
            owner_id=stage.promoter.member.id,
            content_id=content_id,
            now=NOW,
            code=code,
        )
        for content_id in (3, 4)
    ]
    assert made[0].id == made[1].id
    assert made[1].content_id == 3


async def test_a_code_is_found_however_it_is_typed(embedded: str) -> None:
    stage = await factories.stage()
    code = codes.with_check("01AB01YZ")
    link = await factories.link(stage.promoter.member, stage.program, code)

    for typed in (code, code.lower(), f"  {code}\n", code.replace("0", "o").replace("1", "l")):
        found = await links.find(typed)
        assert found is not None
        assert found.id == link.id


async def test_a_misspelt_code_costs_no_statement_and_an_unknown_one_costs_one(
    opened: str,
) -> None:
    code = (await factories.stage()).link.code
    position = codes.ALPHABET.index(code[-1])
    wrong = [code[:-1] + each for each in codes.ALPHABET if each != codes.ALPHABET[position]]

    with watched() as statements:
        for typed in [*wrong, "", code[:-1], f"{code}0", "UUUUUUUUU", "名名名名名名名名名"]:
            assert await links.find(typed) is None
    assert statements == []

    unknown = codes.with_check("ZZZZZZZZ")
    with watched() as statements:
        assert await links.find(unknown) is None
    assert len(statements) == 1


# --- made by promoters


async def promoter(program: Program, name: str = "mei") -> Member:
    """A member who is enrolled."""
    member = (await factories.person(name, Role.EMPLOYEE)).member
    await invitations.enroll(program.id, member, NOW)
    return member


async def test_a_promoter_s_link_is_kept_as_it_was_asked_for(opened: str) -> None:
    terms = await factories.program()
    mei = await promoter(terms)
    new = NewLink("friends", None, "https://shop.example/tea", " Moments ", NOW + MINUTE)

    made = await Link.get(id=(await links.create(new, mei.id, HOSTS, NOW)).id)

    assert codes.fold(made.code) == made.code
    assert (made.owner_id, made.program_id, made.content_id, made.target_url) == (
        mei.id,
        terms.id,
        None,
        "https://shop.example/tea",
    )
    assert (made.channel, made.expires_at, made.archived_at, made.created_at) == (
        "Moments",
        NOW + MINUTE,
        None,
        NOW,
    )


@pytest.mark.parametrize(
    ("new", "mistake", "field"),
    [
        (NewLink("friends"), Required, "targetUrl"),
        (NewLink("friends", 3, "https://shop.example/"), Invalid, "targetUrl"),
        (NewLink("friends", None, "https://evil.example/"), TargetNotAllowed, "targetUrl"),
        (NewLink("friends", 3, channel="x" * 41), TooLong, "channel"),
        (NewLink("friends", 3, channel="a\nb"), Invalid, "channel"),
        (NewLink("friends", 3, expires_at=NOW), Invalid, "expiresAt"),
        (NewLink("nobody", 3), ProgramNotFound, "program"),
        (NewLink("others", 3), NotEnrolled, "program"),
        (NewLink("ended", 3), ProgramClosed, "program"),
    ],
)
async def test_what_no_link_can_be_made_of_is_refused_and_writes_nothing(
    embedded: str, new: NewLink, mistake: type[Mistake], field: str
) -> None:
    mei = await promoter(await factories.program())
    await factories.program("others")
    ended = await factories.program("ended")
    await promoter(ended)
    await Program.filter(id=ended.id).update(ends_at=NOW)
    with pytest.raises(mistake) as refused:
        await links.create(new, mei.id, HOSTS, NOW)
    assert refused.value.field == (field,)
    assert await Link.all().count() == 0


async def test_the_bounds_of_a_link_are_inside(embedded: str) -> None:
    terms = await factories.program()
    mei = await promoter(terms)
    await Program.filter(id=terms.id).update(ends_at=NOW + MINUTE)
    url = f"https://shop.example/{'x' * (2_000 - len('https://shop.example/'))}"
    new = NewLink("friends", None, url, "名" * 40, NOW + timedelta(microseconds=1))
    made = await links.create(new, mei.id, HOSTS, NOW)
    assert (made.target_url, made.channel) == (url, "名" * 40)
    with pytest.raises(TargetNotAllowed):
        await links.create(NewLink("friends", None, f"{url}x"), mei.id, HOSTS, NOW)


async def test_a_link_is_archived_once_and_that_is_noted(opened: str) -> None:
    stage = await factories.stage()
    later = NOW + MINUTE
    archived = await links.archive(stage.link, 7, NOW)
    with pytest.raises(LinkArchived):
        await links.archive(stage.link, 7, later)
    assert archived.archived_at == (await Link.get(id=stage.link.id)).archived_at == NOW
    [entry] = await AuditEntry.filter(action="referralLinkArchive")
    assert (entry.subject_kind, entry.subject_id, entry.actor_id) == (
        "ReferralLink",
        stage.link.id,
        7,
    )
