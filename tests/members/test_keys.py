"""API keys: shown once, kept hashed, recognised in one statement, gone at once when revoked."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import timedelta

import pytest

from core import database, deadline
from core.deadline import TooLate
from core.errors import Invalid, Mistake, Required, TooLong
from members import identity, keys
from members.errors import ApiKeyNotFound, SourceForbidden, TooManySources
from members.identity import Viewer
from members.keys import Keys, Made
from members.models import ApiKey, Member, MemberRole, Role
from tests import factories
from tests.factories import NOW
from tests.members.statements import watched

MINUTE = timedelta(minutes=1)
TICK = timedelta(microseconds=1)


async def make(name: str = "shop", sources: Sequence[str] | None = None) -> Made:
    admin = await factories.person("admin", Role.ADMIN)
    return await keys.create(name, sources, admin.member.id, NOW)


async def viewer(made: Made) -> Viewer:
    found = await Keys().viewer(made.secret, NOW)
    assert found is not None
    return found


async def test_a_secret_is_256_random_bits_and_kept_only_as_its_hash(opened: str) -> None:
    made = await make()
    assert made.secret.startswith("wsk_")
    assert len(made.secret) == len("wsk_") + 43  # 256 bits in base64
    row = await ApiKey.get(id=made.key.id)
    assert row.key_hash == hashlib.sha256(made.secret.encode()).hexdigest()
    assert made.secret not in str(await database.rows("SELECT * FROM api_key"))
    assert made.secret not in repr(made.key)


async def test_a_key_acts_as_a_service_of_its_own(opened: str) -> None:
    first, second = await make("shop"), await make("shop")
    assert first.key.member_id != second.key.member_id
    found = await viewer(first)
    assert found == Viewer(first.key.member_id, frozenset({Role.MEMBER, Role.SERVICE}))
    assert found.session_id is None
    member = await Member.get(id=first.key.member_id)
    assert (member.display_name, member.email) == ("shop", None)
    assert (await ApiKey.get(id=first.key.id)).created_by_id != first.key.member_id


async def test_two_keys_may_have_one_name(opened: str) -> None:
    made = [await make("shop"), await make("shop")]
    assert [key.name for key in await keys.working()] == ["shop", "shop"]
    assert len({each.secret for each in made}) == 2


async def test_a_key_speaks_for_its_sources_alone(opened: str) -> None:
    found = await viewer(await make(sources=["tea", " cups ", "tea"]))
    assert found.sources == {"tea", "cups"}
    for source in ("tea", " tea ", "cups"):
        found.check_source(source)
    for source in ("Tea", "te", "", "tea,cups"):
        with pytest.raises(SourceForbidden) as refused:
            found.check_source(source)
        assert (refused.value.code, refused.value.field) == ("FORBIDDEN", ("source",))


async def test_a_key_without_sources_speaks_for_every_shop(opened: str) -> None:
    found = await viewer(await make())
    assert found.sources is None
    found.check_source("anything")


@pytest.mark.parametrize(
    ("name", "sources", "kind", "field"),
    [
        (" ", None, Required, "name"),
        ("x" * 101, None, TooLong, "name"),
        ("a\0", None, Invalid, "name"),
        ("shop", [], Required, "sources"),
        ("shop", ["tea", ""], Required, "sources"),
        ("shop", ["s" * 41], TooLong, "sources"),
        ("shop", ["\ud800"], Invalid, "sources"),
        ("shop", [str(number) for number in range(101)], TooManySources, "sources"),
    ],
)
async def test_a_key_that_cannot_be_is_refused_and_nothing_is_written(
    embedded: str, name: str, sources: Sequence[str] | None, kind: type[Mistake], field: str
) -> None:
    with pytest.raises(kind) as refused:
        await make(name, sources)
    assert refused.value.field == (field,)
    assert await ApiKey.all().count() == 0
    assert await Member.all().count() == await MemberRole.all().count() == 1


async def test_the_longest_name_and_the_most_sources_fit(opened: str) -> None:
    sources = [f"{number:0>40}" for number in range(100)]
    made = await make("钥" * 100, sources)
    assert (await viewer(made)).sources == set(sources)


async def test_an_unknown_secret_is_nobody(embedded: str) -> None:
    made = await make()
    for secret in ("wsk_", "wsk_unknown", made.secret[:-1], made.key.key_hash, "wsk_名"):
        assert await Keys().viewer(secret, NOW) is None
    assert await identity.viewer(made.secret, NOW) is None


async def test_a_session_is_no_key(embedded: str) -> None:
    admin = await factories.person("admin", Role.ADMIN)
    assert await Keys().viewer(admin.token, NOW) is None


async def test_a_key_is_recognised_in_one_statement_and_its_use_noted_once_a_minute(
    opened: str,
) -> None:
    made = await make()
    for now, statements, noted in (
        (NOW, 2, NOW),
        (NOW + TICK, 1, NOW),
        (NOW + MINUTE - TICK, 1, NOW),
        (NOW + MINUTE, 2, NOW + MINUTE),
        (NOW + MINUTE, 1, NOW + MINUTE),
    ):
        with watched() as seen:
            assert await Keys().viewer(made.secret, now) is not None
        assert len(seen) == statements, now
        assert (await ApiKey.get(id=made.key.id)).last_used_at == noted


async def test_a_revoked_key_stops_at_once_and_for_good(opened: str) -> None:
    made, other = await make("old"), await make("new")
    revoked = await keys.revoke(made.key.id, NOW)
    assert revoked.revoked_at == NOW
    assert await Keys().viewer(made.secret, NOW) is None
    assert await Keys().viewer(other.secret, NOW) is not None
    assert [key.id for key in await keys.working()] == [other.key.id]


async def test_revoking_again_changes_nothing(opened: str) -> None:
    made = await make()
    await keys.revoke(made.key.id, NOW)
    again = await keys.revoke(made.key.id, NOW + MINUTE)
    assert again.revoked_at == NOW


async def test_revoking_what_is_not_there_is_not_found(embedded: str) -> None:
    with pytest.raises(ApiKeyNotFound) as refused:
        await keys.revoke(5, NOW)
    assert (refused.value.code, refused.value.field) == ("NOT_FOUND", ("id",))


async def test_many_requests_with_one_key_at_once_are_all_recognised(opened: str) -> None:
    made, working = await make(), Keys()
    found = await asyncio.gather(*(working.viewer(made.secret, NOW) for _ in range(20)))
    assert None not in found


async def test_keys_that_come_together_are_each_recognised_in_one_statement(opened: str) -> None:
    one, other, gone = await make("one", ["a"]), await make("other"), await make("gone")
    await keys.revoke(gone.key.id, NOW)
    await ApiKey.all().update(last_used_at=NOW)
    known = Keys()
    secrets = [one.secret, gone.secret, other.secret, "wsk_unknown", one.secret]
    with watched() as seen:
        found = await asyncio.gather(*(known.viewer(each, NOW) for each in secrets))
    assert [each and (each.member_id, each.sources) for each in found] == [
        (one.key.member_id, {"a"}),
        None,
        (other.key.member_id, None),
        None,
        (one.key.member_id, {"a"}),
    ]
    assert len(seen) == 1


async def test_a_key_that_is_revoked_while_others_are_looked_up_is_refused(opened: str) -> None:
    made, known = await make(), Keys()
    earlier = [asyncio.create_task(known.viewer(made.secret, NOW)) for _ in range(3)]
    await asyncio.sleep(0)
    await keys.revoke(made.key.id, NOW)
    assert await known.viewer(made.secret, NOW) is None
    await asyncio.gather(*earlier)


@pytest.mark.postgres
async def test_looking_a_key_up_ends_at_the_deadline_and_the_next_is_recognised(
    postgres_url: str,
) -> None:
    async with database.opened(postgres_url):
        made, known = await make(), Keys()

        @database.unit_of_work
        async def busy() -> None:
            await database.rows("LOCK TABLE api_key IN ACCESS EXCLUSIVE MODE")
            with deadline.within(0.2), pytest.raises(TooLate):
                await asyncio.create_task(known.viewer(made.secret, NOW))

        await busy()
        assert await known.viewer(made.secret, NOW) is not None
