"""Owns what a request carries through its resolvers: who asks, when, and what is loaded."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import strawberry
from strawberry.dataloader import DataLoader
from tortoise.functions import Count

from api.errors import Forbidden, Unauthenticated
from api.hot import Answered
from api.settings import Settings
from content import gate, reading, tags
from content.gate import Reader
from content.models import Media, Tag
from content.reading import Piece, Text
from members import standings
from members.identity import Viewer
from members.metrics import Measured
from members.models import Invitation, Member, Role, Standing, Tier
from members.tiers import Ladder
from referral import insight, sharing
from referral.insight import Figures, Span
from referral.models import Conversion, Link, Program
from referral.orders import Orders

STAFF = frozenset({Role.OPERATOR, Role.FINANCE, Role.ADMIN})


async def _members(ids: list[int]) -> Sequence[Member | None]:
    found = await Member.in_bulk(ids, "id")
    return [found.get(each) for each in ids]


async def _standings(member_ids: list[int]) -> Sequence[Standing]:
    rows = await Standing.filter(member_id__in=member_ids).select_related("tier")
    found = {row.member_id: row for row in rows}
    return [found[each] for each in member_ids]


async def _readers(viewers: list[Viewer | None]) -> Sequence[Reader]:
    return [await gate.reader(each) for each in viewers]  # one, unless somebody has just joined


async def _tiers(ids: list[int]) -> Sequence[Tier]:
    found = await Tier.in_bulk(ids, "id")
    return [found[each] for each in ids]


async def _member_counts(tier_ids: list[int]) -> Sequence[int]:
    counts = dict(
        await Standing.filter(tier_id__in=tier_ids)
        .group_by("tier_id")
        .annotate(members=Count("id"))
        .values_list("tier_id", "members")
    )
    return [counts.get(each, 0) for each in tier_ids]


async def _figures(keys: list[tuple[int, Span]]) -> Sequence[Figures]:
    """Of each link in each span; those of one span are read at once."""
    found = {
        span: await insight.figures(
            insight.of_links(sorted({link for link, other in keys if other == span})),
            "link_id",
            span,
        )
        for span in {span for _, span in keys}
    }
    return [found[span][link_id] for link_id, span in keys]


def _measured_at(now: datetime) -> DataLoader[int, tuple[Ladder, Measured]]:
    async def measured(member_ids: list[int]) -> Sequence[tuple[Ladder, Measured]]:
        ladder, found = await standings.of(member_ids, now)
        return [(ladder, found[each]) for each in member_ids]

    return DataLoader(load_fn=measured)


async def _inviters(member_ids: list[int]) -> Sequence[frozenset[int]]:
    rows = await Invitation.filter(invitee_id__in=member_ids)
    return [
        frozenset(row.inviter_id for row in rows if row.invitee_id == each) for each in member_ids
    ]


async def _tags_by_version(version_ids: list[int]) -> Sequence[Sequence[Tag]]:
    found = await reading.tags_by_version(version_ids)
    return [found[each] for each in version_ids]


async def _media_by_version(version_ids: list[int]) -> Sequence[Sequence[Media]]:
    found = await reading.media_by_version(version_ids)
    return [found[each] for each in version_ids]


async def _texts(version_ids: list[int]) -> Sequence[Text]:
    found = await reading.texts(version_ids)
    return [found[each] for each in version_ids]


async def _pieces(keys: list[tuple[Reader, int]]) -> Sequence[Piece | None]:
    found = {
        reader: await reading.by_ids(reader, [id for other, id in keys if other == reader])
        for reader in {reader for reader, _ in keys}
    }
    return [found[reader].get(id) for reader, id in keys]


async def _tags(ids: list[int]) -> Sequence[Tag | None]:
    found = await Tag.in_bulk(ids, "id")
    return [found.get(each) for each in ids]


async def _children(tag_ids: list[int]) -> Sequence[Sequence[Tag]]:
    found = await tags.children(tag_ids)
    return [found[each] for each in tag_ids]


async def _counts(keys: list[tuple[Reader, int]]) -> Sequence[int]:
    found = {
        reader: await tags.counts(reader, [id for other, id in keys if other == reader])
        for reader in {reader for reader, _ in keys}
    }
    return [found[reader].get(id, 0) for reader, id in keys]


async def _programs(ids: list[int]) -> Sequence[Program | None]:
    found = await Program.in_bulk(ids, "id")
    return [found.get(each) for each in ids]


async def _conversions(ids: list[int]) -> Sequence[Conversion | None]:
    found = await Conversion.in_bulk(ids, "id")
    return [found.get(each) for each in ids]


Sharing = tuple[int, str | None, int]  # whose link to which content, in which program


def _shared_at(now: datetime) -> DataLoader[Sharing, Link | None]:
    async def shared(keys: list[Sharing]) -> Sequence[Link | None]:
        found = {
            (owner, program): await sharing.shared(
                owner, [id for *other, id in keys if other == [owner, program]], program, now
            )
            for owner, program in {(owner, program) for owner, program, _ in keys}
        }
        return [found[owner, program].get(id) for owner, program, id in keys]

    return DataLoader(load_fn=shared)


@dataclass(slots=True)
class Loaders:
    """Batches what many rows of one answer ask for; named Result-By-Key, new for each request."""

    measured_by_member: DataLoader[int, tuple[Ladder, Measured]]
    link_by_sharing: DataLoader[Sharing, Link | None]
    tier_by_id: DataLoader[int, Tier] = field(default_factory=lambda: DataLoader(load_fn=_tiers))
    member_count_by_tier: DataLoader[int, int] = field(
        default_factory=lambda: DataLoader(load_fn=_member_counts)
    )
    member_by_id: DataLoader[int, Member | None] = field(
        default_factory=lambda: DataLoader(load_fn=_members)
    )
    standing_by_member: DataLoader[int, Standing] = field(
        default_factory=lambda: DataLoader(load_fn=_standings)
    )
    inviters_by_member: DataLoader[int, frozenset[int]] = field(
        default_factory=lambda: DataLoader(load_fn=_inviters)
    )
    reader_by_viewer: DataLoader[Viewer | None, Reader] = field(
        default_factory=lambda: DataLoader(load_fn=_readers)
    )
    tags_by_version: DataLoader[int, Sequence[Tag]] = field(
        default_factory=lambda: DataLoader(load_fn=_tags_by_version)
    )
    media_by_version: DataLoader[int, Sequence[Media]] = field(
        default_factory=lambda: DataLoader(load_fn=_media_by_version)
    )
    text_by_version: DataLoader[int, Text] = field(
        default_factory=lambda: DataLoader(load_fn=_texts)
    )
    piece_by_reader_and_id: DataLoader[tuple[Reader, int], Piece | None] = field(
        default_factory=lambda: DataLoader(load_fn=_pieces)
    )
    tag_by_id: DataLoader[int, Tag | None] = field(
        default_factory=lambda: DataLoader(load_fn=_tags)
    )
    children_by_tag: DataLoader[int, Sequence[Tag]] = field(
        default_factory=lambda: DataLoader(load_fn=_children)
    )
    count_by_reader_and_tag: DataLoader[tuple[Reader, int], int] = field(
        default_factory=lambda: DataLoader(load_fn=_counts)
    )
    figures_by_link: DataLoader[tuple[int, Span], Figures] = field(
        default_factory=lambda: DataLoader(load_fn=_figures)
    )
    program_by_id: DataLoader[int, Program | None] = field(
        default_factory=lambda: DataLoader(load_fn=_programs)
    )
    conversion_by_id: DataLoader[int, Conversion | None] = field(
        default_factory=lambda: DataLoader(load_fn=_conversions)
    )


@dataclass(slots=True)
class Context:
    """One request. `viewer` is None for somebody who is not signed in."""

    settings: Settings
    now: datetime
    viewer: Viewer | None
    orders: Orders = field(default_factory=Orders)
    answered: list[Answered] = field(default_factory=list, init=False)  # at once, of this request
    _load: Loaders | None = field(default=None, init=False)

    @property
    def load(self) -> Loaders:
        """What batches; made when it is asked for first."""
        if self._load is None:
            self._load = Loaders(_measured_at(self.now), _shared_at(self.now))
        return self._load

    async def reader(self) -> Reader:
        """What the viewer may see of the library."""
        if self.viewer is None:
            return gate.ANYBODY  # most of who reads, and nothing to be loaded
        return await self.load.reader_by_viewer.load(self.viewer)

    async def content(self, content_id: int) -> Piece | None:
        """The content, if the viewer may see it."""
        key = (await self.reader(), content_id)
        return await self.load.piece_by_reader_and_id.load(key)

    def forget(self) -> None:
        """Loads everything anew from now on: something was written."""
        self._load = None

    def signed_in(self) -> Viewer:
        """Who asks; raises `Unauthenticated` when nobody is signed in."""
        if self.viewer is None:
            raise Unauthenticated("Sign in: send a token as `Authorization: Bearer …`.")
        return self.viewer

    def allow(self, roles: Collection[Role]) -> Viewer:
        """Who asks, if they have one of the roles; raises `Forbidden` or `Unauthenticated`."""
        viewer = self.signed_in()
        if viewer.roles.isdisjoint(roles):
            raise Forbidden(f"This needs the role {' or '.join(sorted(roles))}.")
        return viewer

    def allow_self_or_staff(self, member_id: int) -> Viewer:
        """Who asks, if it is this member or staff; raises `Forbidden` or `Unauthenticated`."""
        viewer = self.signed_in()
        if viewer.member_id != member_id and viewer.roles.isdisjoint(STAFF):
            raise Forbidden("Only the member itself and staff may see this.")
        return viewer

    async def allow_self_inviter_or_staff(self, member_id: int) -> Viewer:
        """Likewise, and if the member was invited by whoever asks."""
        viewer = self.signed_in()
        if viewer.member_id in await self.load.inviters_by_member.load(member_id):
            return viewer
        return self.allow_self_or_staff(member_id)


Info = strawberry.Info[Context, None]
