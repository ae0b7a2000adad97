"""Carries out what makes an installation to try: the demo, and how its people are told of."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from api import demo, installation
from api.commands.terminal import err, out, tell
from api.failed import Failed
from api.playground import serving
from api.settings import Settings
from content import assets
from core import database
from members import payees


def prepare(settings: Settings) -> None:
    """Migrates the database, and loads the demo where nobody else's people are."""
    uvloop.run(_prepared(settings))


async def _prepared(settings: Settings) -> None:
    async with database.opened(settings.database_url):
        with err.status("Bringing the database up to date …"):
            await database.migrate()
        if await demo.present():
            with err.status("Filling in the demo …"):
                tokens = await _load(settings)
            out.print(f"\n[bold]Wellspring[/bold] is at {settings.base_url}, with the demo.\n")
            _tell(settings, tokens)
            tell("\nCtrl-C stops it; the data stays.\n")


def load(settings: Settings) -> None:
    """Loads the demo and tells of its people; raises `Failed` among other people."""
    installation.run(settings, lambda: _loaded(settings))


async def _loaded(settings: Settings) -> None:
    if not await demo.present():
        raise Failed("This database holds people of its own; the demo goes into an empty one.")
    tokens = await _load(settings)
    out.print(f"The demo is loaded; `wellspring serve` serves it at {settings.base_url}.\n")
    _tell(settings, tokens)


async def _load(settings: Settings) -> dict[demo.Person, str]:
    store = _store(settings.assets_path)
    vault = payees.vault(settings.payee_secrets())
    return await demo.load(settings.currency, settings.time_zone, store, datetime.now(UTC), vault)


def _store(path: Path) -> assets.Store:
    """Raises `Failed` where nothing can be kept, before half of the demo is there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return assets.DirectoryStore(path)
    except OSError as error:
        raise Failed(
            f"No picture can be kept in {path}: {error.strerror}. WELLSPRING_ASSETS names another "
            "folder."
        ) from error


def _tell(settings: Settings, tokens: dict[demo.Person, str]) -> None:
    opening = f"{settings.base_url}{serving.PATH}#token=" if settings.playground else ""
    told = "Open the playground as one of its people" if opening else "Tokens of its people"
    rows = [(person.key, opening + token) for person, token in tokens.items()]
    rows.append(("link", f"{settings.base_url}/r/{demo.LINK_CODE}"))
    lines = "\n".join(f"{key:9} {value}" for key, value in rows)
    tell(f"{told}, who are made up:\n\n{lines}")
    query = '{"query":"{ contents(first: 3) { nodes { title tags { name } } } }"}'
    tell(
        "\nOr ask by hand, with a token behind “Authorization: Bearer” where one is needed:\n\n"
        f"curl -s {settings.base_url}/graphql -H 'content-type: application/json' -d '{query}'"
    )
