"""Owns why a touch or a binding cannot count: the first reason that applies, in words. Pure."""

from datetime import timedelta

from referral.evidence import Bond, Event, Promoter, Terms, Touch
from referral.models import Verdict

Refusal = tuple[Verdict, str] | None

SAME_MEMBER = "the promoter is the customer"
SAME_MAILBOX = "promoter and customer share a mailbox"
SAME_WECHAT = "promoter and customer are one person to WeChat"


def of_touch(event: Event, terms: Terms, promoter: Promoter, touch: Touch) -> Refusal:
    if touch.bot_reason is not None:
        return Verdict.BOT, f"not a person: {touch.bot_reason}"
    if touch.link_until is not None and touch.touched_at >= touch.link_until:
        return Verdict.LINK_INACTIVE, "the link was archived or had expired when it was clicked"
    return (
        of_program(event, terms)
        or of_suspension(event, touch.program_id, promoter)
        or of_promoter(event, promoter)
        or _of_time(event, terms, touch)
        or of_customer(event, terms)
    )


def of_program(event: Event, terms: Terms) -> Refusal:
    if terms.starts_at is not None and event.occurred_at < terms.starts_at:
        return Verdict.PROGRAM_CLOSED, "the program had not begun"
    if terms.ends_at is not None and event.occurred_at >= terms.ends_at:
        return Verdict.PROGRAM_CLOSED, "the program had ended"
    return None


def of_suspension(event: Event, program_id: int, promoter: Promoter) -> Refusal:
    if suspended(event, program_id, promoter):
        return Verdict.PROMOTER_INACTIVE, "the promoter's enrolment was suspended"
    return None


def suspended(event: Event, program_id: int, promoter: Promoter) -> bool:
    return any(
        since <= event.occurred_at and (until is None or event.occurred_at < until)
        for since, until in promoter.suspended.get(program_id, ())
    )


def of_promoter(event: Event, promoter: Promoter) -> Refusal:
    one, other = event.customer, promoter.person
    if one.member_id is not None and one.member_id == other.member_id:
        return Verdict.SELF_REFERRAL, SAME_MEMBER
    if one.mailbox is not None and one.mailbox == other.mailbox:
        return Verdict.SELF_REFERRAL, SAME_MAILBOX
    if one.wechat & other.wechat:
        return Verdict.SELF_REFERRAL, SAME_WECHAT
    if one.member_id in promoter.above:
        return Verdict.OWN_DOWNLINE, "the customer brought the promoter"
    return None


def _of_time(event: Event, terms: Terms, touch: Touch) -> Refusal:
    age = event.occurred_at - touch.touched_at
    if age < timedelta(0):
        return Verdict.OUTSIDE_WINDOW, f"touched {-age} after the conversion"
    if age > timedelta(days=terms.window_days):
        return (
            Verdict.OUTSIDE_WINDOW,
            f"touched {age} before; the window is {terms.window_days} days",
        )
    return None


def of_customer(event: Event, terms: Terms) -> Refusal:
    if terms.new_customers_only and event.returning:
        return Verdict.NOT_NEW_CUSTOMER, "the customer had paid an order before"
    return None


def holds(bond: Bond, event: Event) -> bool:
    until = bond.ends_at
    return bond.bound_at <= event.occurred_at and (until is None or event.occurred_at < until)
