"""Declares the commands around an installation: `migrate`, `demo`, `token`, `reseal`, `schema`."""

from enum import StrEnum
from typing import Annotated

import typer


class RoleName(StrEnum):
    """The values of members.models.Role, which costs the whole ORM to import."""

    MEMBER = "MEMBER"
    KOC = "KOC"
    EMPLOYEE = "EMPLOYEE"
    EDITOR = "EDITOR"
    REVIEWER = "REVIEWER"
    OPERATOR = "OPERATOR"
    FINANCE = "FINANCE"
    ADMIN = "ADMIN"
    SERVICE = "SERVICE"


def migrate() -> None:
    """Brings the database to the newest schema; safe to run at any time and several at once.

    Needed once before the first `serve` and after every update. The database is
    the one that WELLSPRING_DATABASE_URL names: a file of SQLite is made where
    there is none, a database of PostgreSQL has to be there.

    WELLSPRING_DATABASE_URL=sqlite://var/shop.db wellspring migrate
    """
    import uvloop

    from api.commands.terminal import out
    from api.settings import load
    from core import database

    settings = load()

    async def work() -> int:
        async with database.opened(settings.database_url):
            return len(await database.migrate(lambda name: out.print(f"applied {name}")))

    if not uvloop.run(work()):
        out.print("The database is up to date.")


def demo() -> None:
    """Fills an empty database with the demo and prints a link that signs in as each of its people.

    Safe to run again, which prints fresh links; refuses a database that holds
    other people. `wellspring run` does this and serves too.
    """
    from api import trying
    from api.settings import load

    trying.load(load())


def token(
    email: Annotated[
        str, typer.Argument(metavar="EMAIL", help="Whose token; made a member if missing.")
    ],
    role: Annotated[
        list[RoleName] | None,
        typer.Option(
            metavar="ROLE",
            help=f"A role to add first: {', '.join(RoleName)}. May be given several times.",
        ),
    ] = None,
) -> None:
    """Prints a fresh bearer token of the member with this e-mail address, and nothing else.

    The way to the first administrator, and to a token for trying the API:

    wellspring token me@example.com --role ADMIN

    Whoever has the token is that member, until it expires or they sign out.
    """
    from datetime import UTC, datetime

    from api import installation
    from api.commands.terminal import tell
    from api.settings import load
    from members import identity
    from members.models import Role

    roles = [Role(name) for name in role or []]
    now = datetime.now(UTC)
    tell(installation.run(load(), lambda: identity.token_for(email, roles, now)))


def reseal() -> None:
    """Encrypts where members are paid anew, by the first of WELLSPRING_PAYEE_KEYS.

    For a new secret: put it first, keep the old ones behind it, run this, then
    leave the old ones out. Safe beside servers, and to run again.

    WELLSPRING_PAYEE_KEYS=NEW,OLD wellspring reseal
    """
    from api import installation
    from api.commands.terminal import out
    from api.settings import load
    from members import payees
    from referral import bank_orders

    settings = load()
    vault = payees.vault(settings.payee_secrets())

    async def work() -> None:
        for some in (payees.reseal, bank_orders.reseal):
            after: int | None = 0
            while after is not None:
                after = await some(vault, after)

    installation.run(settings, work)
    out.print("Every payee is encrypted by the newest secret.")


def schema() -> None:
    """Prints the GraphQL schema, with every description, for tools that read it.

    wellspring schema > schema.graphql
    """
    import sys

    from api import schema

    sys.stdout.write(schema.sdl())
