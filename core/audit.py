"""Owns the audit trail: who did what to what, and when."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tortoise import fields
from tortoise.fields.data import JSON_DUMPS
from tortoise.models import Model

from core import bulk, changes, paging
from core.paging import Page

_COLUMNS = ("at", "actor_id", "action", "subject_kind", "subject_id", "detail")


class AuditEntry(Model):
    """One act of somebody. Never changed."""

    id = fields.BigIntField(primary_key=True)
    at = fields.DatetimeField()
    actor_id = fields.BigIntField(null=True)  # a member, a floor above; null: the platform itself
    action = fields.CharField(max_length=60)  # in the API's words, such as contentPublish
    subject_kind = fields.CharField(max_length=40)  # in the API's words, such as Content
    subject_id = fields.BigIntField()
    detail: Any = fields.JSONField()

    class Meta:
        table = "audit_entry"
        indexes = (("subject_kind", "subject_id", "id"),)


async def note(
    action: str,
    subject_kind: str,
    subject_ids: Sequence[int],
    *,
    actor_id: int | None,
    now: datetime,
    detail: Mapping[str, Any],
) -> None:
    """Adds one entry for each subject to the running unit of work."""
    details = [(subject_id, detail) for subject_id in subject_ids]
    await note_each(action, subject_kind, details, actor_id=actor_id, now=now)


async def note_each(
    action: str,
    subject_kind: str,
    details: Sequence[tuple[int, Mapping[str, Any]]],
    *,
    actor_id: int | None,
    now: datetime,
) -> None:
    """The same for subjects that have each a detail of their own."""
    changes.note()
    rows = [
        (now, actor_id, action, subject_kind, subject_id, JSON_DUMPS(detail))
        for subject_id, detail in details
    ]
    await bulk.insert(AuditEntry, _COLUMNS, rows)


async def trail(
    subject: tuple[str, int] | None, first: int, after: str | None
) -> tuple[Page[AuditEntry], Callable[[], Awaitable[int]]]:
    """One page of what was done, of one (kind, id) where given, newest first, and what counts it
    all; raises `paging.BadPage`."""
    query = AuditEntry.all()
    if subject is not None:
        query = query.filter(subject_kind=subject[0], subject_id=subject[1])
    name = f"audit:{subject or ''}"
    page = await paging.page(query, order=("-id",), name=name, first=first, after=after)
    return page, query.count
