"""Finding anything by its id, as far as the viewer may see it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

import strawberry
from strawberry import argument

from api.content import Content
from api.context import Info
from api.errors import Refusal
from api.nodes import Node, split_id
from api.tags import Tag

MOST_NODES = 100


async def _content(info: Info, number: int) -> Node | None:
    piece = await info.context.content(number)
    return piece and Content.of(piece)


async def _tag(info: Info, number: int) -> Node | None:
    row = await info.context.load.tag_by_id.load(number)
    return row and Tag.of(row)


# By the kind that an id names.
KINDS: Mapping[str, Callable[[Info, int], Awaitable[Node | None]]] = {
    "Content": _content,
    "Tag": _tag,
}


async def _found(info: Info, id: str) -> Node | None:
    kind, number = split_id(id) or ("", 0)
    return await KINDS[kind](info, number) if kind in KINDS else None


@strawberry.type
class LookupQuery:
    @strawberry.field(
        description="A content or a tag by its id; null where there is none that the viewer may "
        "see."
    )
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, argument(description="Its id.")]
    ) -> Node | None:
        return await _found(info, id)

    @strawberry.field(description="The same for up to 100 ids, in their order.")
    async def nodes(
        self, info: Info, ids: Annotated[list[strawberry.ID], argument(description="Their ids.")]
    ) -> list[Node | None]:
        if len(ids) > MOST_NODES:
            raise Refusal(f"`ids` holds at most {MOST_NODES}, not {len(ids)}.")
        return [*await asyncio.gather(*(_found(info, id) for id in ids))]
