"""Who somebody is: accounts, tokens, roles, and mailboxes."""

import asyncio
import hashlib
from datetime import timedelta

import pytest

from core import database
from core.errors import Invalid, Mistake, Required, TooLong
from members import expired, identity
from members.errors import EmailTaken
from members.identity import NewMember, Opened
from members.models import Member, MemberRole, Password, Role, Session, Standing
from tests.factories import NOW
from tests.members.statements import watched


@database.unit_of_work
async def create(
    display_name: str = "Mei", email: str | None = None, phone: str | None = None
) -> Member:
    return await identity.create(NewMember(display_name, email, phone), NOW)


@database.unit_of_work
async def open_session(member_id: int) -> Opened:
    return await identity.open_session(member_id, NOW)


async def test_an_account_has_a_standing_and_keeps_what_it_was_told(opened: str) -> None:
    made = await create("  Mei Lin ", " Mei@Example.com ", " +86 (139) 1234-5678 ")

    row = await Member.get(id=made.id)
    assert (row.display_name, row.email, row.phone, row.created_at) == (
        "Mei Lin",
        "Mei@Example.com",
        "+86 (139) 1234-5678",
        NOW,
    )
    assert row.email_key == "mei@example.com"
    assert await Standing.filter(member=row).count() == 1


async def test_an_e_mail_address_is_optional(embedded: str) -> None:
    first, second = await create(), await create()
    assert first.id != second.id
    assert {row.email for row in await Member.all()} == {None}


async def test_an_e_mail_address_belongs_to_one_member_whatever_its_case(opened: str) -> None:
    await create(email="mei@example.com")
    for again in ("mei@example.com", "MEI@EXAMPLE.COM", " Mei@Example.Com "):
        with pytest.raises(EmailTaken) as refused:
            await create("Other", again)
        assert (refused.value.code, refused.value.field) == ("NOT_UNIQUE", ("email",))
    assert await Member.all().count() == await Standing.all().count() == 1


async def test_of_registrations_with_one_address_at_once_one_wins(opened: str) -> None:
    addresses = ["mei@example.com", "Mei@example.com", "MEI@EXAMPLE.COM", "mei@Example.com"] * 3

    results = await asyncio.gather(
        *(create(email=address) for address in addresses), return_exceptions=True
    )

    assert sum(isinstance(result, Member) for result in results) == 1
    assert sum(isinstance(result, EmailTaken) for result in results) == len(addresses) - 1
    assert await Member.all().count() == await Standing.all().count() == 1


async def test_a_suffix_makes_another_address(embedded: str) -> None:
    await create(email="mei@example.com")
    await create(email="mei+tea@example.com")
    assert await Member.all().count() == 2


REFUSED: list[tuple[NewMember, type[Mistake], str]] = [
    (NewMember(""), Required, "displayName"),
    (NewMember(" \t "), Required, "displayName"),
    (NewMember("x" * 101), TooLong, "displayName"),
    (NewMember("a\x00b"), Invalid, "displayName"),
    (NewMember("Mei", email=" "), Required, "email"),
    (NewMember("Mei", email="mei"), Invalid, "email"),
    (NewMember("Mei", email="mei@example"), Invalid, "email"),
    (NewMember("Mei", email="@example.com"), Invalid, "email"),
    (NewMember("Mei", email="a b@example.com"), Invalid, "email"),
    (NewMember("Mei", email="a@b@example.com"), Invalid, "email"),
    (NewMember("Mei", email="a@example.com\nb"), Invalid, "email"),
    (NewMember("Mei", email=f"{'a' * 243}@example.com"), TooLong, "email"),
    (NewMember("Mei", phone="twelve"), Invalid, "phone"),
    (NewMember("Mei", phone="1234"), Invalid, "phone"),
    (NewMember("Mei", phone="1" * 32), Invalid, "phone"),
    (NewMember("Mei", phone="++4412345"), Invalid, "phone"),
]


async def test_what_cannot_be_kept_is_refused_with_its_field(opened: str) -> None:
    for new, kind, field in REFUSED:
        with pytest.raises(kind) as refused:
            await create(new.display_name, new.email, new.phone)
        assert (type(refused.value), refused.value.field) == (kind, (field,)), new
    assert await Member.all().count() == 0


async def test_the_longest_values_fit(opened: str) -> None:
    email = f"{'a' * 242}@example.com"
    made = await create("名" * 100, email, "+" + "1" * 31)
    row = await Member.get(id=made.id)
    assert (len(row.display_name), row.email, len(row.phone or "")) == (100, email, 32)


async def test_an_empty_e_mail_address_is_refused_like_a_blank_one(embedded: str) -> None:
    with pytest.raises(Required) as refused:
        await create(email="")
    assert refused.value.field == ("email",)


async def test_an_empty_telephone_number_is_refused_like_a_blank_one(embedded: str) -> None:
    with pytest.raises(Invalid) as refused:
        await create(phone="")
    assert refused.value.field == ("phone",)


async def test_an_address_that_grows_when_folded_is_accepted_or_refused_by_name(
    opened: str,
) -> None:
    try:
        await create(email=f"{'ß' * 242}@example.com")
    except Mistake as mistake:
        assert mistake.field == ("email",)


async def test_a_token_is_kept_only_as_its_hash(opened: str) -> None:
    member = await create()
    session = await open_session(member.id)

    row = await Session.get(member_id=member.id)
    assert row.token_hash == hashlib.sha256(session.token.encode()).hexdigest()
    tables = [await database.rows(f"SELECT * FROM {each}") for each in ("session", "member")]
    assert session.token not in str(tables)
    assert len(session.token) >= 43
    assert session.expires_at == row.expires_at == NOW + timedelta(days=30)


async def test_every_session_has_a_token_of_its_own(embedded: str) -> None:
    member = await create()
    tokens = {(await open_session(member.id)).token for _ in range(5)}
    assert len(tokens) == await Session.filter(member=member).count() == 5


async def test_a_token_is_good_until_its_end_and_not_at_it(opened: str) -> None:
    member = await create()
    session = await open_session(member.id)
    last = session.expires_at - timedelta(microseconds=1)

    found = await identity.viewer(session.token, last)
    assert found is not None
    assert found.member_id == member.id
    assert await identity.viewer(session.token, session.expires_at) is None


async def test_an_unknown_token_is_nobody(embedded: str) -> None:
    await open_session((await create()).id)
    for token in ("", "unknown", "名"):
        assert await identity.viewer(token, NOW) is None


async def test_the_hash_of_a_token_is_no_token(embedded: str) -> None:
    session = await open_session((await create()).id)
    stolen = hashlib.sha256(session.token.encode()).hexdigest()
    assert await identity.viewer(stolen, NOW) is None


async def test_a_viewer_has_all_roles_with_the_implied_ones_in_one_statement(opened: str) -> None:
    token = await identity.token_for("r@example.com", [Role.REVIEWER, Role.KOC], NOW)
    with watched() as statements:
        found = await identity.viewer(token, NOW)
    assert found is not None
    assert found.roles == {Role.MEMBER, Role.KOC, Role.REVIEWER, Role.EDITOR}
    assert len(statements) == 1


async def test_somebody_without_roles_is_a_member(embedded: str) -> None:
    session = await open_session((await create()).id)
    found = await identity.viewer(session.token, NOW)
    assert found is not None
    assert found.roles == {Role.MEMBER}


def test_admin_implies_every_role_but_service() -> None:
    assert identity.expand([Role.ADMIN]) == set(Role) - {Role.SERVICE}


def test_admin_may_be_a_service_too() -> None:
    assert identity.expand([Role.ADMIN, Role.SERVICE]) == set(Role)


def test_reviewer_implies_editor_and_editor_not_reviewer() -> None:
    assert identity.expand([Role.REVIEWER]) == {Role.MEMBER, Role.REVIEWER, Role.EDITOR}
    assert identity.expand([Role.EDITOR]) == {Role.MEMBER, Role.EDITOR}


@pytest.mark.parametrize(
    "role", [Role.KOC, Role.EMPLOYEE, Role.OPERATOR, Role.FINANCE, Role.SERVICE]
)
def test_other_roles_imply_only_member(role: Role) -> None:
    assert identity.expand([role]) == {Role.MEMBER, role}


async def test_token_for_makes_the_member_once_and_adds_roles(opened: str) -> None:
    first = await identity.token_for("Lin@Example.com", [Role.EMPLOYEE, Role.MEMBER], NOW)
    second = await identity.token_for(" lin@example.COM ", [Role.EMPLOYEE, Role.KOC], NOW)

    assert first != second
    assert await Member.all().count() == 1
    member = await Member.get(email_key="lin@example.com")
    assert member.display_name == "Lin"
    roles = await MemberRole.filter(member=member).values_list("role", flat=True)
    assert sorted(roles) == [Role.EMPLOYEE, Role.KOC]
    for token in (first, second):
        found = await identity.viewer(token, NOW)
        assert found is not None
        assert found.roles == {Role.MEMBER, Role.EMPLOYEE, Role.KOC}


async def test_token_for_keeps_the_name_of_a_member_it_finds(embedded: str) -> None:
    await create("Mei", "mei@example.com")
    await identity.token_for("mei@example.com", [], NOW, display_name="Other")
    assert (await Member.get()).display_name == "Mei"


async def test_token_for_an_address_that_is_none_writes_nothing(embedded: str) -> None:
    with pytest.raises(Invalid):
        await identity.token_for("nobody", [Role.ADMIN], NOW)
    assert await Member.all().count() == await Session.all().count() == 0


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        (None, None),
        ("mei@example.com", "mei@example.com"),
        ("MEI@Example.COM", "mei@example.com"),
        ("mei+tea@example.com", "mei@example.com"),
        ("mei+tea+cup@example.com", "mei@example.com"),
        ("m.e.i@example.com", "m.e.i@example.com"),
        ("m.e.i@gmail.com", "mei@gmail.com"),
        ("M.E.I+tea.cup@GMail.com", "mei@gmail.com"),
        ("mei@googlemail.com", "mei@gmail.com"),
        ("m.ei+x@GoogleMail.com", "mei@gmail.com"),
        ("m.e.i@gmail.com.example", "m.e.i@gmail.com.example"),
        ("STRASSE@example.com", "strasse@example.com"),
        ("straße@example.com", "strasse@example.com"),
    ],
)
def test_a_mailbox_is_where_the_mail_arrives(address: str | None, mailbox: str | None) -> None:
    assert identity.mailbox(address) == mailbox


# Sessions that end


async def test_a_session_that_was_closed_is_nobodys_and_others_go_on(opened: str) -> None:
    member = await create()
    first, second = await open_session(member.id), await open_session(member.id)
    found = await identity.viewer(first.token, NOW)
    assert found is not None
    assert found.session_id is not None
    assert await identity.close_session(found.session_id)
    assert not await identity.close_session(found.session_id)
    assert await identity.viewer(first.token, NOW) is None
    assert await identity.viewer(second.token, NOW) is not None


async def test_opening_a_session_sweeps_a_few_that_have_ended(opened: str) -> None:
    member = await create()
    for number in range(expired.BITE + 5):
        await Session.create(
            member=member, token_hash=f"old-{number}", created_at=NOW, expires_at=NOW
        )
    await Session.create(
        member=member, token_hash="young", created_at=NOW, expires_at=NOW + timedelta(seconds=1)
    )
    await open_session(member.id)
    assert await Session.filter(expires_at__lte=NOW).count() == 5
    await open_session(member.id)
    assert await Session.filter(expires_at__lte=NOW).count() == 0
    assert await Session.filter(token_hash="young").exists()


async def test_sessions_opened_at_once_sweep_without_waiting_for_each_other(opened: str) -> None:
    member = await create()
    for number in range(expired.BITE):
        await Session.create(
            member=member, token_hash=f"old-{number}", created_at=NOW, expires_at=NOW
        )
    await asyncio.gather(*(open_session(member.id) for _ in range(8)))
    assert await Session.all().count() == 8


# What a member says of itself


async def test_a_registration_may_be_of_earlier(embedded: str) -> None:
    earlier = NOW - timedelta(days=400)

    @database.unit_of_work
    async def bring() -> Member:
        return await identity.create(NewMember("Mei", registered_at=earlier), NOW)

    assert (await Member.get(id=(await bring()).id)).created_at == earlier


async def test_what_is_given_is_changed_and_the_rest_stays(opened: str) -> None:
    made = await create("Mei", "mei@example.com", "+86 139 1234 5678")
    await identity.update(made.id, {"display_name": " Lan "})
    changed = await identity.update(made.id, {"avatar_url": "https://img.example/lan.png?x=1"})
    row = await Member.get(id=made.id)
    assert (row.display_name, row.avatar_url, row.email, row.email_key, row.phone) == (
        "Lan",
        "https://img.example/lan.png?x=1",
        "mei@example.com",
        "mei@example.com",
        "+86 139 1234 5678",
    )
    assert (changed.display_name, changed.avatar_url) == (row.display_name, row.avatar_url)
    await identity.update(made.id, {"email": " Lan@Example.com "})
    row = await Member.get(id=made.id)
    assert (row.email, row.email_key) == ("Lan@Example.com", "lan@example.com")
    await identity.update(made.id, {"avatar_url": None, "email": None})
    row = await Member.get(id=made.id)
    assert (row.avatar_url, row.email, row.email_key) == (None, None, None)
    assert (await identity.update(made.id, {})).display_name == "Lan"


async def test_an_address_in_use_is_not_taken_over_and_the_own_may_change_its_case(
    opened: str,
) -> None:
    mei, lan = await create("Mei", "mei@example.com"), await create("Lan", "lan@example.com")
    with pytest.raises(EmailTaken):
        await identity.update(lan.id, {"display_name": "Other", "email": "MEI@example.com"})
    assert (await Member.get(id=lan.id)).display_name == "Lan"
    await identity.update(mei.id, {"email": "MEI@example.com"})
    assert (await Member.get(id=mei.id)).email == "MEI@example.com"


async def test_whoever_has_a_password_keeps_an_address(opened: str) -> None:
    mei = await create("Mei", "mei@example.com")
    await Password.create(member=mei, hash="hash", set_at=NOW)
    with pytest.raises(Required) as refused:
        await identity.update(mei.id, {"email": None})
    assert refused.value.field == ("email",)
    assert (await Member.get(id=mei.id)).email == "mei@example.com"


CHANGES: list[tuple[dict[str, str | None], type[Mistake], str]] = [
    ({"display_name": None}, Required, "displayName"),
    ({"display_name": " "}, Required, "displayName"),
    ({"display_name": "x" * 101}, TooLong, "displayName"),
    ({"email": "mei"}, Invalid, "email"),
    ({"email": ""}, Required, "email"),
    ({"avatar_url": ""}, Required, "avatarUrl"),
    ({"avatar_url": "https://img.example/" + "x" * 1_981}, TooLong, "avatarUrl"),
    ({"avatar_url": "img.example/mei.png"}, Invalid, "avatarUrl"),
    ({"avatar_url": "ftp://img.example/mei.png"}, Invalid, "avatarUrl"),
    ({"avatar_url": "javascript:alert(1)"}, Invalid, "avatarUrl"),
    ({"avatar_url": "data:image/png;base64,AAAA"}, Invalid, "avatarUrl"),
    ({"avatar_url": "https://"}, Invalid, "avatarUrl"),
    ({"avatar_url": "https:///mei.png"}, Invalid, "avatarUrl"),
    ({"avatar_url": "https://[img/mei.png"}, Invalid, "avatarUrl"),
    ({"avatar_url": "https://img.example/a b"}, Invalid, "avatarUrl"),
]


async def test_changes_that_cannot_be_are_refused_with_their_field(opened: str) -> None:
    mei = await create("Mei", "mei@example.com")
    before = await database.rows("SELECT * FROM member")
    for changes, kind, field in CHANGES:
        with pytest.raises(kind) as refused:
            await identity.update(mei.id, changes)
        assert (type(refused.value), refused.value.field) == (kind, (field,)), changes
    assert await database.rows("SELECT * FROM member") == before
    await identity.update(mei.id, {"avatar_url": "http://img.example/" + "x" * 1_981})
