"""Owns ids and pages as the API shows them."""

from binascii import b2a_base64
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Annotated, Generic, TypeVar

import strawberry
from strawberry.relay import from_base64

from api import access
from core.errors import NotFound
from core.paging import Page

T = TypeVar("T")
Row = TypeVar("Row")

First = Annotated[int, strawberry.argument(description="How many at most, 1 to 100.")]
After = Annotated[
    str | None, strawberry.argument(description="The `endCursor` of the page before.")
]
LARGEST_ID = 2**63 - 1


@strawberry.enum(description="Which end of a list comes first.")
class OrderDirection(Enum):
    ASC = "ASC"
    DESC = "DESC"


@strawberry.interface(description="Something with an id of its own.")
class Node:
    id: strawberry.ID = strawberry.field(description="Opaque, unique over all types.")


def to_id(kind: str, number: int) -> strawberry.ID:
    """The id by which the API names row `number` of this kind."""
    return strawberry.ID(b2a_base64(f"{kind}:{number}".encode(), newline=False).decode())


def split_id(id: str) -> tuple[str, int] | None:
    """The kind and the row behind an id; None for anything that is no id."""
    try:
        kind, number = from_base64(id)
    except ValueError:
        return None
    # int() would also take "+1", "1_0" and digits of other scripts.
    plain = number.isascii() and number.isdigit() and len(number) <= len(str(LARGEST_ID))
    return (kind, int(number)) if plain and int(number) <= LARGEST_ID else None


def find_id(kind: str, id: str) -> int | None:
    """The row behind an id; None for anything that is not an id of this kind."""
    found = split_id(id)
    return found[1] if found and found[0] == kind else None


def from_id(kind: str, id: str, *field: str) -> int:
    """The row behind an id; raises `NotFound` with the field for anything else."""
    number = find_id(kind, id)
    if number is None:
        raise NotFound(f"This is no {kind} id.", *field)
    return number


@strawberry.type(
    description="Where a page ends, and whether there is more.", directives=[access.as_parent()]
)
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there is more behind this page.")
    has_previous_page: bool = strawberry.field(description="Whether there is more before it.")
    start_cursor: str | None = strawberry.field(description="The cursor of its first edge.")
    end_cursor: str | None = strawberry.field(description="The cursor of its last edge.")


@strawberry.type(directives=[access.as_parent()])
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="Goes into `after` to ask for what comes behind.")
    node: T = strawberry.field(description="The row.")


@strawberry.type(directives=[access.as_parent()])
class Connection(Generic[T]):
    """One page of a list; `total` is only asked for when the query selects it."""

    edges: list[Edge[T]] = strawberry.field(description="The rows with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page ends.")
    total: strawberry.Private[Callable[[], Awaitable[int]]]

    @strawberry.field(description="The rows alone.")
    def nodes(self) -> list[T]:
        return [edge.node for edge in self.edges]

    @strawberry.field(description="How many rows all pages hold together.")
    async def total_count(self) -> int:
        return await self.total()


def page_info(page: Page[Row]) -> PageInfo:
    """Where the page ends."""
    return PageInfo(
        has_next_page=page.has_next,
        has_previous_page=page.has_previous,
        start_cursor=page.edges[0].cursor if page.edges else None,
        end_cursor=page.edges[-1].cursor if page.edges else None,
    )


def connection(
    page: Page[Row], shown: Callable[[Row], T], *, total: Callable[[], Awaitable[int]]
) -> Connection[T]:
    """The page as the API shows it, each row by `shown`."""
    return Connection(
        edges=[Edge(cursor=edge.cursor, node=shown(edge.node)) for edge in page.edges],
        page_info=page_info(page),
        total=total,
    )
