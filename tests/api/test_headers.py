"""What every answer tells browsers: no sniffing, no frames, no more than was meant."""

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from api.settings import Settings
from core import database
from tests import factories
from tests.client import Api
from tests.conftest import SECRET, serving
from tests.ports import free_port

QUERY = {"query": "{ contents { nodes { slug } } }"}


@pytest.fixture(params=["", "https://go.example.com"])
async def server(request: pytest.FixtureRequest, sqlite_url: str) -> AsyncIterator[Api]:
    settings = Settings(
        database_url=sqlite_url,
        port=free_port(),
        secret=SECRET,
        public_url=request.param,
        target_hosts=("shop.example",),
        cors_origins=("https://www.example.com",),
    )
    async with serving(settings), Api(settings) as client:
        yield client


async def test_every_answer_has_them_and_each_once(server: Api) -> None:
    stage = await factories.stage()
    await factories.piece("tea")
    get, post = server.http.get, server.http.post
    code = stage.link.code
    answers = {
        "kept": [await post("/graphql", json=QUERY) for _ in range(2)][1],
        "by get": await get("/graphql", params=QUERY),
        "not kept": await post("/graphql", json={"query": "{ viewer { id } }"}),
        "faulty": await post("/graphql", json={"query": "{"}),
        "refused": await post("/graphql", json=QUERY, headers={"authorization": "Bearer x"}),
        "too large": await post("/graphql", content=b" " * (1024 * 1024 + 1)),
        "page": await get("/c/tea"),
        "no page": await get("/c/nothing"),
        "front page": await get("/"),
        "health": await get("/health/live"),
        "redirect": await get(f"/r/{code}"),
        "qr": await get(f"/r/{code}/qr.svg"),
        "no route": await get("/nothing"),
        "no asset": await get("/assets/nothing"),
        "preflight": await server.http.options(
            "/graphql",
            headers={
                "origin": "https://www.example.com",
                "access-control-request-method": "POST",
            },
        ),
    }
    with capture_logs():
        await database.execute("DROP TABLE session")
        answers["broken"] = await get(
            "/graphql", params=QUERY, headers={"authorization": "Bearer x"}
        )
        assert answers["broken"].status_code == 500
    secure = server.settings.public_url.startswith("https://")
    for name, answer in answers.items():
        for header, value in (
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("cross-origin-resource-policy", "cross-origin" if name == "qr" else "same-origin"),
        ):
            assert answer.headers.get_list(header) == [value], (name, header)
        [policy] = answer.headers.get_list("content-security-policy")
        assert policy.startswith("default-src 'none'"), name
        assert policy.count("frame-ancestors 'none'") == 1, name
        strict = answer.headers.get_list("strict-transport-security")
        assert strict == (["max-age=31536000"] if secure else []), name
        assert "set-cookie" not in answer.headers or name == "redirect"


async def test_only_what_everybody_may_be_given_is_for_caches(server: Api) -> None:
    lin = (await factories.person("lin")).token
    for query, token, expected in (
        (QUERY["query"], None, "public, no-cache"),
        (QUERY["query"], lin, "private, no-cache"),
        ("{ viewer { id } }", lin, "no-store"),
        ("{", None, "no-store"),
        (QUERY["query"], "nonsense", "no-store"),
        ("{ contents(first: 0) { totalCount } }", None, "no-store"),
    ):
        for _ in range(2):
            answer = await server.post(query, token)
            assert answer.headers.get_list("cache-control") == [expected], query


async def test_no_cookie_signs_anybody_in(server: Api) -> None:
    lin = await factories.person("lin")
    for name in ("authorization", "token", "session", "sid"):
        cookie = {"cookie": f"{name}={lin.token}"}
        answer = await server.http.post(
            "/graphql", json={"query": "{ viewer { id } }"}, headers=cookie
        )
        assert answer.json()["data"] == {"viewer": None}
