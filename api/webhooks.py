"""Who is told of what happens here, as the API shows it to admins."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api import access
from api.context import Context, Info
from api.errors import UserError, mistakes_to
from api.nodes import After, Connection, First, Node, connection, from_id, to_id
from core import endpoints, posting, webhooks
from members.models import Role

# What the rooms emit, and when.
EVENTS: Mapping[str, str] = {
    "member.registered": "an account was made",
    "conversion.credited": "a registration, order, fee or promotion was credited to somebody",
    "conversion.not_credited": "it was decided, and nobody was credited",
    "commission.reversed": "a refund took back a commission, or a part of it",
    "tier.changed": "a member came into another tier",
    "payout.sent": "the money of a pay-out is on its way",
    "content.published": "readers find another version of a content",
}


@strawberry.type(
    description="One event for one endpoint.",
    directives=[access.as_parent()],
)
class WebhookDelivery(Node):
    event: str = strawberry.field(description="What happened, such as `tier.changed`.")
    attempts: int = strawberry.field(description="How often it was tried, since a replay anew.")
    delivered_at: datetime | None = strawberry.field(description="When it was taken.")
    error: str | None = strawberry.field(description="Why the last attempt failed.")

    @classmethod
    def of(cls, row: webhooks.WebhookDelivery) -> "WebhookDelivery":
        return cls(
            id=to_id("WebhookDelivery", row.id),
            event=row.event,
            attempts=row.attempts,
            delivered_at=row.delivered_at,
            error=row.error,
        )


@strawberry.type(
    description="An address that is told of events, in their order.",
    directives=[access.as_parent()],
)
class WebhookEndpoint(Node):
    row: strawberry.Private[webhooks.WebhookEndpoint]
    url: str = strawberry.field(description="Where they are posted to.")
    events: list[str] = strawberry.field(description="Which ones.")
    disabled_reason: str | None = strawberry.field(
        description="Why it is told nothing more until it is saved anew; null while it works."
    )

    @classmethod
    def of(cls, row: webhooks.WebhookEndpoint) -> "WebhookEndpoint":
        return cls(
            id=to_id("WebhookEndpoint", row.id),
            row=row,
            url=row.url,
            events=list(row.events),
            disabled_reason=row.disabled_reason,
        )

    @strawberry.field(
        description="What it is owed and was sent, newest first; what was sent is kept for some "
        "weeks."
    )
    async def deliveries(
        self, first: First = 20, after: After = None
    ) -> Connection[WebhookDelivery]:
        page, total = await endpoints.deliveries(self.row.id, first, after)
        return connection(page, WebhookDelivery.of, total=total)


@strawberry.type(description="A webhook.", directives=[access.as_parent()])
class WebhookPayload:
    endpoint: WebhookEndpoint | None = strawberry.field(default=None, description="The endpoint.")
    secret: str | None = strawberry.field(
        default=None,
        description="Of a new endpoint, and after `rotate`: what its messages are signed with; "
        "shown once.",
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )


@strawberry.type
class WebhookQuery:
    @strawberry.field(
        description="The endpoints of webhooks, oldest first.",
        extensions=[access.allow(Role.ADMIN)],
    )
    async def webhook_endpoints(self) -> list[WebhookEndpoint]:
        return [WebhookEndpoint.of(row) for row in await endpoints.kept()]


NAMED = "; ".join(f"`{name}`: {meaning}" for name, meaning in EVENTS.items())


@strawberry.type
class WebhookMutation:
    @strawberry.mutation(
        description="Makes an endpoint, at most 20, or changes one and switches it on again.",
        extensions=[access.allow(Role.ADMIN)],
    )
    @mistakes_to(lambda errors: WebhookPayload(errors=errors))
    async def webhook_endpoint_save(
        self,
        info: Info,
        url: Annotated[
            str, argument(description="Of https and public, without user, password and fragment.")
        ],
        events: Annotated[list[str], argument(description=f"What it is told of. {NAMED}.")],
        id: Annotated[
            strawberry.ID | None, argument(description="Which one; a new one if missing.")
        ] = None,
        rotate: Annotated[
            bool, argument(description="Gives it another secret; the old one signs no more.")
        ] = False,
    ) -> WebhookPayload:
        context = info.context
        actor_id = context.signed_in().member_id
        url = posting.check_url(url, context.settings.webhook_hosts)
        names = endpoints.check_events(events, EVENTS)
        if id is None:
            row = await endpoints.create(url, names, actor_id, context.now)
        else:
            number = from_id("WebhookEndpoint", id, "id")
            row = await endpoints.change(number, url, names, actor_id, context.now, rotate=rotate)
        known = id is not None and not rotate
        return WebhookPayload(
            endpoint=WebhookEndpoint.of(row), secret=None if known else _secret(context, row)
        )

    @strawberry.mutation(
        description="Tells an endpoint nothing more, not even what it is owed, and forgets it.",
        extensions=[access.allow(Role.ADMIN)],
    )
    @mistakes_to(lambda errors: WebhookPayload(errors=errors))
    async def webhook_endpoint_delete(
        self, info: Info, id: Annotated[strawberry.ID, argument(description="Which.")]
    ) -> WebhookPayload:
        actor_id = info.context.signed_in().member_id
        number = from_id("WebhookEndpoint", id, "id")
        row = await endpoints.delete(number, actor_id, info.context.now)
        return WebhookPayload(endpoint=WebhookEndpoint.of(row))

    @strawberry.mutation(
        description="Sends a delivery that is still kept once more, whatever became of it, under "
        "the same message id.",
        extensions=[access.allow(Role.ADMIN)],
    )
    @mistakes_to(lambda errors: WebhookPayload(errors=errors))
    async def webhook_replay(
        self, info: Info, delivery: Annotated[strawberry.ID, argument(description="Which.")]
    ) -> WebhookPayload:
        number = from_id("WebhookDelivery", delivery, "delivery")
        actor_id = info.context.signed_in().member_id
        row = await endpoints.replay(number, actor_id, info.context.now)
        return WebhookPayload(endpoint=WebhookEndpoint.of(row))


def _secret(context: Context, row: webhooks.WebhookEndpoint) -> str:
    return endpoints.shown(endpoints.secret(row, context.settings.signing_key()))
