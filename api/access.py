"""Owns who may use which field: one declaration refuses the others and says so in the schema."""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.schema_directive import Location
from strawberry.types.field import StrawberryField

from members.models import Role

if TYPE_CHECKING:  # a context refuses with `api.errors`, whose types declare their access here
    from api.context import Context

strawberry.enum(Role, description="What somebody may do.")


@strawberry.enum(description="Who may use a field; anybody else gets FORBIDDEN or UNAUTHENTICATED.")
class Access(Enum):
    EVERYBODY = strawberry.enum_value("EVERYBODY", description="Also who is not signed in.")
    AS_PARENT = strawberry.enum_value("AS_PARENT", description="Who may reach the object.")
    SIGNED_IN = strawberry.enum_value("SIGNED_IN", description="Every member.")
    SELF_OR_STAFF = strawberry.enum_value(
        "SELF_OR_STAFF", description="The member itself, OPERATOR, FINANCE and ADMIN."
    )
    SELF_INVITER_OR_STAFF = strawberry.enum_value(
        "SELF_INVITER_OR_STAFF", description="These, and whoever the member was invited by."
    )
    OWNER_OR_STAFF = strawberry.enum_value(
        "OWNER_OR_STAFF", description="Whose link it is, OPERATOR, FINANCE and ADMIN."
    )
    ROLES = strawberry.enum_value("ROLES", description="Whoever has one of `roles`.")


@strawberry.schema_directive(
    name="access",
    locations=[Location.FIELD_DEFINITION, Location.OBJECT],
    description="Who may use a field; at a type, each of its fields that does not say it itself.",
)
class Declared:
    who: Access = strawberry.field(description="Who may.")
    roles: list[Role] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Any one of them. ADMIN implies every other but SERVICE, REVIEWER implies "
        "EDITOR.",
    )


class Declaration(FieldExtension):
    """Says who may use a field; this one refuses nobody."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared

    def apply(self, field: StrawberryField) -> None:
        """Joins the field's directives, once: a field comes by again for each type that has it.

        What refuses nobody is no extension any more then, since even an idle one costs time.
        """
        if self.declared not in field.directives:
            field.directives = [*field.directives, self.declared]
        if not self.has_resolver:
            field.extensions = [each for each in field.extensions if each is not self]


class Restriction(Declaration):
    """Says who may use a field, and refuses the others before its resolver runs."""

    def __init__(self, declared: Declared, check: "Callable[[Context, Any], object]") -> None:
        super().__init__(declared)
        self._check = check

    def resolve(self, *call: Any, **arguments: Any) -> Any:
        # By place alone: some fields have an argument that is called `source` too.
        next_, source, info = call
        self._check(info.context, source)
        return next_(source, info, **arguments)

    async def resolve_async(self, *call: Any, **arguments: Any) -> Any:
        return await self.resolve(*call, **arguments)


class LookedUp(Declaration):
    """Likewise, where a check may have to ask the database."""

    def __init__(
        self, declared: Declared, check: "Callable[[Context, Any], Awaitable[object]]"
    ) -> None:
        super().__init__(declared)
        self._check = check

    async def resolve_async(self, *call: Any, **arguments: Any) -> Any:
        next_, source, info = call
        await self._check(info.context, source)
        return await next_(source, info, **arguments)


def as_parent() -> Declared:
    """For a type: whoever may reach an object may read its fields."""
    return Declared(who=Access.AS_PARENT)


def allow(*roles: Role) -> Restriction:
    """For whoever has one of the roles, implied ones too."""
    named = sorted(set(roles), key=list(Role).index)
    return Restriction(
        Declared(who=Access.ROLES, roles=named), lambda context, source: context.allow(named)
    )


EVERYBODY = Declaration(Declared(who=Access.EVERYBODY))
SIGNED_IN = Restriction(Declared(who=Access.SIGNED_IN), lambda context, source: context.signed_in())
SELF_OR_STAFF = Restriction(
    Declared(who=Access.SELF_OR_STAFF),
    lambda context, member: context.allow_self_or_staff(member.row.id),
)
SELF_INVITER_OR_STAFF = LookedUp(
    Declared(who=Access.SELF_INVITER_OR_STAFF),
    lambda context, member: context.allow_self_inviter_or_staff(member.row.id),
)
OWNER_OR_STAFF = Restriction(
    Declared(who=Access.OWNER_OR_STAFF),
    lambda context, link: context.allow_self_or_staff(link.row.owner_id),
)
