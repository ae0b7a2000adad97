"""The playground's page: built or not, switched off or not, and with its strict headers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from api.playground import serving
from api.settings import Settings
from tests.client import Api
from tests.conftest import SECRET
from tests.conftest import serving as running
from tests.ports import free_port

PAGE = "<!doctype html><html><body><p>the page</p></body></html>"


@pytest.fixture
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a build leaves behind."""
    assets = tmp_path / "dist" / "assets"
    assets.mkdir(parents=True)
    (assets.parent / "index.html").write_text(PAGE)
    (assets / "index-4d3f.js").write_text("export {}")
    (tmp_path / "secret").write_text("of nobody's business")
    monkeypatch.setattr(serving, "DIST", assets.parent)
    return assets.parent


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the page was not built."""
    monkeypatch.setattr(serving, "DIST", tmp_path / "nothing")


async def get(path: str, known: str = "", **settings: Any) -> httpx.Response:
    app = Starlette(routes=serving.routes(Settings(secret=SECRET, **settings)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://of.ours") as client:
        return await client.get(path, headers={"if-none-match": known} if known else {})


@asynccontextmanager
async def installation(sqlite_url: str, **settings: Any) -> AsyncIterator[Api]:
    given = Settings(database_url=sqlite_url, port=free_port(), secret=SECRET, **settings)
    async with running(given), Api(given) as client:
        yield client


async def test_the_page_takes_scripts_from_our_own_files_alone(dist: Path) -> None:
    answer = await get("/playground")
    assert answer.status_code == 200
    policy = dict(
        each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["worker-src"] == policy["connect-src"] == "'self'"
    assert not any("http" in value or "*" in value for value in policy.values())
    assert not any("unsafe" in value for name, value in policy.items() if name != "style-src")


async def test_the_page_is_asked_for_anew_and_its_files_never_again(dist: Path) -> None:
    page = await get("/playground")
    assert page.headers["cache-control"] == "public, no-cache"
    assert (await get("/playground", page.headers["etag"])).status_code == 304
    script = await get("/playground/assets/index-4d3f.js")
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert script.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path", ["../../secret", "..%2f..%2fsecret", "%2e%2e/%2e%2e/secret", "", "index-0000.js"]
)
async def test_nothing_beside_the_files_is_handed_out(dist: Path, path: str) -> None:
    answer = await get(f"/playground/assets/{path}")
    assert answer.status_code == 404
    assert "nobody" not in answer.text
    assert "immutable" not in answer.headers.get("cache-control", "")


async def test_a_slash_at_the_end_leads_to_the_page(dist: Path) -> None:
    answer = await get("/playground/")
    assert (answer.status_code, answer.headers["location"]) == (308, "/playground")


@pytest.mark.parametrize("told", [True, False])
async def test_the_page_knows_what_an_operator_has_switched_off(dist: Path, told: bool) -> None:
    page = await get("/playground", introspection=told, trusted_documents_only=not told)
    value = str(told).lower()
    assert f'<body data-introspection="{value}" data-documents="{value}">' in page.text


async def test_a_page_that_was_not_built_says_what_to_do(nothing: None) -> None:
    answer = await get("/playground")
    assert answer.status_code == 503
    assert "make playground" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert (await get("/playground/assets/index-4d3f.js")).status_code == 404


async def test_it_can_be_switched_off(sqlite_url: str) -> None:
    async with installation(sqlite_url, playground=False) as server:
        assert (await server.http.get("/playground")).status_code == 404
        ours = {"x-wellspring-playground": "1"}
        entered = await server.http.post("/playground/session", json={}, headers=ours)
        assert entered.status_code == 404
        cookie = {"cookie": "wellspring_playground=nonsense"}
        asked = {"query": "{ viewer { id } }"}
        answer = await server.http.post("/graphql", json=asked, headers={**ours, **cookie})
        assert answer.json()["data"] == {"viewer": None}


async def test_everything_else_is_served_where_it_was_not_built(
    sqlite_url: str, nothing: None
) -> None:
    async with installation(sqlite_url) as server:
        assert (await server.http.get("/playground")).status_code == 503
        assert (await server.http.get("/")).status_code == 200
        assert (await server.http.get("/health/ready")).status_code == 200
        assert await server.ask("{ contents { totalCount } }") == {"totalCount": 0}
