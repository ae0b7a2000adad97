"""Owns the life of a content: which step leads where. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from content.errors import InvalidTransition
from content.models import ContentStatus


class Action(StrEnum):
    """What is done to a content, in the words in which it is refused."""

    SAVE = "saving"
    SUBMIT = "submitting"
    REJECT = "rejecting"
    PUBLISH = "publishing"
    SCHEDULE = "scheduling"
    FALL_DUE = "falling due"  # its time has come
    UNSCHEDULE = "unscheduling"
    ARCHIVE = "archiving"
    UNARCHIVE = "unarchiving"


@dataclass(frozen=True, slots=True)
class State:
    """Where a content is. `pending` is where the newer version beside a published one is."""

    status: ContentStatus
    pending: ContentStatus | None = None


_DRAFT, _IN_REVIEW, _SCHEDULED, _PUBLISHED, _ARCHIVED = ContentStatus

# What is SCHEDULED cannot be saved: a reviewer has passed what will be published.
_STEPS = {
    (_DRAFT, Action.SAVE): _DRAFT,
    (_DRAFT, Action.SUBMIT): _IN_REVIEW,
    (_DRAFT, Action.PUBLISH): _PUBLISHED,
    (_DRAFT, Action.SCHEDULE): _SCHEDULED,
    (_IN_REVIEW, Action.SAVE): _IN_REVIEW,
    (_IN_REVIEW, Action.REJECT): _DRAFT,
    (_IN_REVIEW, Action.PUBLISH): _PUBLISHED,
    (_IN_REVIEW, Action.SCHEDULE): _SCHEDULED,
    (_SCHEDULED, Action.FALL_DUE): _PUBLISHED,
    (_SCHEDULED, Action.UNSCHEDULE): _DRAFT,
    (_SCHEDULED, Action.ARCHIVE): _ARCHIVED,
    (_PUBLISHED, Action.ARCHIVE): _ARCHIVED,
    (_ARCHIVED, Action.SAVE): _ARCHIVED,
    (_ARCHIVED, Action.UNARCHIVE): _DRAFT,
}


def step(state: State, action: Action) -> State:
    """Where the action leads; raises `InvalidTransition` where it leads nowhere.

    Saving a published content begins a newer version beside it, which then goes the same way on
    its own; archiving takes both.
    """
    if state == State(_PUBLISHED) and action is Action.SAVE:
        return State(_PUBLISHED, _DRAFT)
    beside = state.pending is not None and action is not Action.ARCHIVE
    at = state.pending if beside and state.pending else state.status
    to = _STEPS.get((at, action))
    if to is None:
        raise InvalidTransition(action, at)
    return State(_PUBLISHED, None if to is _PUBLISHED else to) if beside else State(to)
