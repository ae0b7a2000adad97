"""Every step from every state, in the pure table and in the rows, against a plain list."""

from datetime import timedelta
from itertools import product

import pytest

from content import library, lifecycle, workflow
from content.errors import InvalidTransition
from content.models import Content, ContentStatus, ContentVersion
from content.workflow import Action, State
from core import audit
from members.models import Role
from tests import factories
from tests.factories import NOW

DRAFT, IN_REVIEW, SCHEDULED, PUBLISHED, ARCHIVED = ContentStatus
LATER = NOW + timedelta(hours=1)

# As the product's rules say it, one line each: from, by, to.
RULES = """
DRAFT submit IN_REVIEW
DRAFT publish PUBLISHED
DRAFT schedule SCHEDULED
DRAFT save DRAFT
IN_REVIEW reject DRAFT
IN_REVIEW publish PUBLISHED
IN_REVIEW schedule SCHEDULED
IN_REVIEW save IN_REVIEW
SCHEDULED unschedule DRAFT
SCHEDULED archive ARCHIVED
SCHEDULED fall_due PUBLISHED
PUBLISHED archive ARCHIVED
PUBLISHED save PUBLISHED+DRAFT
ARCHIVED unarchive DRAFT
ARCHIVED save ARCHIVED
PUBLISHED+DRAFT submit PUBLISHED+IN_REVIEW
PUBLISHED+DRAFT publish PUBLISHED
PUBLISHED+DRAFT schedule PUBLISHED+SCHEDULED
PUBLISHED+DRAFT save PUBLISHED+DRAFT
PUBLISHED+DRAFT archive ARCHIVED
PUBLISHED+IN_REVIEW reject PUBLISHED+DRAFT
PUBLISHED+IN_REVIEW publish PUBLISHED
PUBLISHED+IN_REVIEW schedule PUBLISHED+SCHEDULED
PUBLISHED+IN_REVIEW save PUBLISHED+IN_REVIEW
PUBLISHED+IN_REVIEW archive ARCHIVED
PUBLISHED+SCHEDULED unschedule PUBLISHED+DRAFT
PUBLISHED+SCHEDULED archive ARCHIVED
PUBLISHED+SCHEDULED fall_due PUBLISHED
"""
TABLE = {tuple(line.split()[:2]): line.split()[2] for line in RULES.strip().splitlines()}
STATES = (
    *("DRAFT", "IN_REVIEW", "SCHEDULED", "PUBLISHED", "ARCHIVED"),
    *("PUBLISHED+DRAFT", "PUBLISHED+IN_REVIEW", "PUBLISHED+SCHEDULED"),
)


def state(name: str) -> State:
    status, _, pending = name.partition("+")
    return State(ContentStatus(status), ContentStatus(pending) if pending else None)


def name_of(content: Content) -> str:
    pending = f"+{content.pending_status}" if content.pending_status else ""
    return f"{content.status}{pending}"


@pytest.mark.parametrize(("begin", "action"), [*product(STATES, Action)])
def test_the_table_has_these_steps_and_no_others(begin: str, action: Action) -> None:
    expected = TABLE.get((begin, action.name.lower()))
    if expected is None:
        with pytest.raises(InvalidTransition):
            workflow.step(state(begin), action)
    else:
        assert workflow.step(state(begin), action) == state(expected)


async def brought_to(name: str, slug: str, editor: int) -> Content:
    """A content in this state, by the same use cases."""
    status, _, pending = name.partition("+")
    content_id = await factories.piece(slug, status=ContentStatus(status), author_id=editor)
    if pending:
        await library.update(content_id, 1, {"title": "Newer"}, editor, NOW)
    if pending == "IN_REVIEW":
        await lifecycle.submit(content_id, editor, NOW)
    if pending == "SCHEDULED":
        await lifecycle.publish(content_id, 2, LATER, editor, NOW)
    content = await Content.get(id=content_id)
    assert name_of(content) == name
    return content


async def do(action: str, content: Content, editor: int) -> None:
    version = content.version
    steps = {
        "save": lambda: library.update(content.id, version, {"body": "x"}, editor, NOW),
        "submit": lambda: lifecycle.submit(content.id, editor, NOW),
        "reject": lambda: lifecycle.reject(content.id, "Why so long?", editor, NOW),
        "publish": lambda: lifecycle.publish(content.id, version, None, editor, NOW),
        "schedule": lambda: lifecycle.publish(content.id, version, LATER, editor, NOW),
        "unschedule": lambda: lifecycle.unschedule(content.id, editor, NOW),
        "archive": lambda: lifecycle.archive(content.id, editor, NOW),
        "unarchive": lambda: lifecycle.unarchive(content.id, editor, NOW),
    }
    await steps[action]()


def facts(content: Content) -> dict[str, object]:
    return {name: getattr(content, name) for name in content._meta.db_fields}


async def test_every_use_case_takes_these_steps_and_refuses_the_others(opened: str) -> None:
    editor = (await factories.person("ed", Role.REVIEWER)).member.id
    actions = ("save", "submit", "reject", "publish", "schedule", "unschedule", "archive")
    for begin, action in product(STATES, (*actions, "unarchive")):
        before = await brought_to(begin, f"{begin}-{action}", editor)
        noted = await audit.AuditEntry.all().count()
        expected = TABLE.get((begin, action))
        if expected is None:
            with pytest.raises(InvalidTransition):
                await do(action, before, editor)
            after = await Content.get(id=before.id)
            assert facts(after) == facts(before), (begin, action)
            assert await audit.AuditEntry.all().count() == noted
            continue
        await do(action, before, editor)
        after = await Content.get(id=before.id)
        assert name_of(after) == expected, (begin, action)
        assert await audit.AuditEntry.all().count() == noted + 1
        await holds_together(after)


async def holds_together(content: Content) -> None:
    """What must be so of every content, whatever was done to it."""
    at = content.pending_status or content.status
    assert (content.scheduled_at is not None) == (at is SCHEDULED)
    assert (content.published_version is not None) == (content.status is PUBLISHED)
    if content.status is PUBLISHED:
        assert content.published_at == NOW
        assert (content.published_version == content.version) == (content.pending_status is None)
    versions = await ContentVersion.filter(content_id=content.id).count()
    assert versions == content.version
