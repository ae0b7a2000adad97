"""The audit trail as the API shows it to staff."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument
from strawberry.scalars import JSON

from api import access
from api.context import STAFF, Info
from api.members import Member
from api.nodes import After, Connection, First, connection, split_id, to_id
from core import audit

NOBODY = ("", 0)


@strawberry.type(description="One act of somebody.", directives=[access.as_parent()])
class AuditEntry:
    row: strawberry.Private[audit.AuditEntry]
    at: datetime = strawberry.field(description="When it was done.")
    action: str = strawberry.field(description="What was done, such as contentPublish.")
    subject: strawberry.ID = strawberry.field(description="The id of what it was done to.")
    detail: JSON = strawberry.field(description="What was said or changed.")

    @classmethod
    def of(cls, row: audit.AuditEntry) -> "AuditEntry":
        return cls(
            row=row,
            at=row.at,
            action=row.action,
            subject=to_id(row.subject_kind, row.subject_id),
            detail=JSON(row.detail),
        )

    @strawberry.field(description="Who did it; null where it fell due by itself.")
    async def actor(self, info: Info) -> Member | None:
        if self.row.actor_id is None:
            return None
        row = await info.context.load.member_by_id.load(self.row.actor_id)
        return row and Member.of(row)


@strawberry.type
class AuditQuery:
    @strawberry.field(
        description="Who did what when, newest first. Staff.", extensions=[access.allow(*STAFF)]
    )
    async def audit_trail(
        self,
        info: Info,
        subject: Annotated[
            strawberry.ID | None, argument(description="Done to this alone.")
        ] = None,
        first: First = 20,
        after: After = None,
    ) -> Connection[AuditEntry]:
        about = None if subject is None else split_id(subject) or NOBODY
        page, total = await audit.trail(about, first, after)
        return connection(page, AuditEntry.of, total=total)
