"""The API keys of shops' services, as the API shows them."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import argument

from api import access
from api.context import Info
from api.errors import UserError, mistakes_to
from api.nodes import Node, from_id, to_id
from members import keys, models
from members.models import Role


@strawberry.type(
    description="What a shop's service signs its requests with.", directives=[access.as_parent()]
)
class ApiKey(Node):
    name: str = strawberry.field(description="For people; two keys may have the same.")
    sources: list[str] | None = strawberry.field(
        description="The shops that it may speak for; null for all."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    last_used_at: datetime | None = strawberry.field(
        description="When it was last used, to the minute."
    )

    @classmethod
    def of(cls, row: models.ApiKey) -> "ApiKey":
        return cls(
            id=to_id("ApiKey", row.id),
            name=row.name,
            sources=row.sources,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
        )


@strawberry.type(description="An API key.", directives=[access.as_parent()])
class ApiKeyPayload:
    api_key: ApiKey | None = strawberry.field(default=None, description="The key.")
    secret: str | None = strawberry.field(
        default=None, description="Of a new key: send it as `Authorization: Bearer …`; shown once."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )


@strawberry.type
class ApiKeyQuery:
    @strawberry.field(
        description="The keys that work, oldest first.", extensions=[access.allow(Role.ADMIN)]
    )
    async def api_keys(self) -> list[ApiKey]:
        return [ApiKey.of(row) for row in await keys.working()]


@strawberry.type
class ApiKeyMutation:
    @strawberry.mutation(
        description="Makes a key with the role SERVICE.", extensions=[access.allow(Role.ADMIN)]
    )
    @mistakes_to(lambda errors: ApiKeyPayload(errors=errors))
    async def api_key_create(
        self,
        info: Info,
        name: Annotated[str, argument(description="For people; at most 100 characters.")],
        sources: Annotated[
            list[str] | None,
            argument(description="The shops that it may speak for, at most 100; all if missing."),
        ] = None,
    ) -> ApiKeyPayload:
        viewer = info.context.signed_in()
        made = await keys.create(name, sources, viewer.member_id, info.context.now)
        return ApiKeyPayload(api_key=ApiKey.of(made.key), secret=made.secret)

    @strawberry.mutation(
        description="Has a key stop working at once and for good.",
        extensions=[access.allow(Role.ADMIN)],
    )
    @mistakes_to(lambda errors: ApiKeyPayload(errors=errors))
    async def api_key_revoke(
        self, info: Info, id: Annotated[strawberry.ID, argument(description="Which.")]
    ) -> ApiKeyPayload:
        key = await keys.revoke(from_id("ApiKey", id, "id"), info.context.now)
        return ApiKeyPayload(api_key=ApiKey.of(key))
