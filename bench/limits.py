"""What the limits of the API cost a request whose document came before.

    python -m bench.limits

Serves a small library from SQLite within this process and sends the same requests again and again;
then does by itself what the limits do of each request: counting it, measuring its cost, setting its
deadline. Prints the share that this is of the whole.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from api.documents import Documents
from api.endpoint import GraphQLApp
from api.rates import Rates
from api.schema import schema
from api.settings import Settings
from core import database, deadline
from tests import factories

ROUNDS = 1_000
PIECES = 40
QUERIES = {
    "no statement": ("{ viewer { id } }", {}),
    "one row": ("query ($slug: String!) { content(slug: $slug) { title } }", {"slug": "p1"}),
    "a page": (
        "query ($n: Int) { contents(first: $n) { nodes { slug title tags { slug name } "
        "author { displayName } } pageInfo { hasNextPage endCursor } } }",
        {"n": 20},
    ),
}


@deadline.bounded
async def _nothing(client: object) -> None:
    """Stands for a statement that takes no time."""


async def request(app: GraphQLApp, body: bytes) -> bytes:
    """The answer to one POST."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "query_string": b"",
        "client": ("192.0.2.1", 1),
        "headers": [(b"content-type", b"application/json")],
    }
    await app(scope, receive, send)
    return sent[-1]["body"]


async def seconds_each(work: Callable[[], Awaitable[object]]) -> float:
    """The best of five rounds."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(ROUNDS // 5):
            await work()
        best = min(best, (time.perf_counter() - began) / (ROUNDS // 5))
    return best


async def measure(settings: Settings, name: str) -> None:
    text, variables = QUERIES[name]
    body = json.dumps({"query": text, "variables": variables}).encode()
    app = GraphQLApp(settings, Rates(10**9))
    rates, documents = Rates(10**9), Documents(schema._schema, settings)
    document = await documents.read(text)
    operation = document.operation(None)

    async def limits() -> None:
        rates.take(None, "192.0.2.1")
        with deadline.within(10):
            document.costs.of(operation, variables)
            if name != "no statement":
                await _nothing(None)

    answer = json.loads(await request(app, body))
    assert "errors" not in answer, answer
    whole = await seconds_each(lambda: request(app, body))
    part = await seconds_each(limits)
    share = 100 * part / whole
    print(f"{name:>14}: {whole * 1e6:8.0f} us, limits {part * 1e6:5.1f} us, {share:4.1f} %")


async def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite://{Path(directory)}/bench.db"
        settings = Settings(database_url=url, secret="x" * 40)
        async with database.opened(url):
            await database.migrate()
            await factories.tag("tea")
            for number in range(PIECES):
                await factories.piece(f"p{number}", tags=["tea"])
            for name in QUERIES:
                await measure(settings, name)


if __name__ == "__main__":
    asyncio.run(main())
