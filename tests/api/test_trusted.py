"""Documents that are known by their ids, and a server that takes no others."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api import app
from api.settings import BadSettings, Settings, load
from tests import factories
from tests.client import Api
from tests.conftest import SECRET, serving
from tests.ports import free_port

PAGE = "query Page($n: Int) { contents(first: $n) { nodes { slug } } }"
JOIN = 'mutation Join { memberRegister(input: {displayName: "Mei"}) { errors { code } } }'
MANIFEST = {"0a1b": PAGE, "join": JOIN, "old": "{ nobody }"}


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    path = tmp_path / "persisted-documents.json"
    path.write_text(json.dumps(MANIFEST))
    return str(path)


@pytest.fixture(params=[False, True], ids=["others too", "no others"])
async def trusting(
    request: pytest.FixtureRequest, sqlite_url: str, manifest: str
) -> AsyncIterator[Api]:
    settings = Settings(
        database_url=sqlite_url,
        port=free_port(),
        secret=SECRET,
        trusted_documents=manifest,
        trusted_documents_only=request.param,
    )
    async with serving(settings), Api(settings) as client:
        yield client


async def test_a_trusted_document_is_asked_for_by_its_id(trusting: Api) -> None:
    await factories.piece("tea")
    body = {"documentId": "0a1b", "variables": {"n": 1}, "operationName": "Page"}
    lin = {"authorization": f"Bearer {(await factories.person('lin')).token}"}
    params = body | {"variables": '{"n": 1}'}
    for _ in range(3):
        for headers in ({}, lin):
            posted = await trusting.http.post("/graphql", json=body, headers=headers)
            got = await trusting.http.get("/graphql", params=params, headers=headers)
            assert posted.json()["data"] == {"contents": {"nodes": [{"slug": "tea"}]}}
            assert got.content == posted.content
    joined = await trusting.http.post("/graphql", json={"documentId": "join"})
    assert joined.json()["data"] == {"memberRegister": {"errors": []}}
    by_get = await trusting.http.get("/graphql", params={"documentId": "join"})
    assert by_get.status_code == 405


async def test_an_unknown_id_is_not_found(trusting: Api) -> None:
    for body in ({"documentId": "nothing"}, {"documentId": "Page"}):
        for response in (
            await trusting.http.post("/graphql", json=body),
            await trusting.http.get("/graphql", params=body),
        ):
            assert response.status_code == 404
            [error] = response.json()["errors"]
            assert error["extensions"] == {
                "code": "PERSISTED_DOCUMENT_NOT_FOUND",
                "requestId": response.headers["x-request-id"],
            }


async def test_a_document_in_full_is_taken_unless_only_trusted_ones_are(trusting: Api) -> None:
    only = trusting.settings.trusted_documents_only
    for _ in range(3):
        for text in (PAGE, "{ contents { nodes { slug } } }", "{ __schema { types { name } } }"):
            response = await trusting.post(text)
            if only:
                code = response.json()["errors"][0]["extensions"]["code"]
                assert (response.status_code, code) == (404, "PERSISTED_DOCUMENT_NOT_FOUND")
            else:
                assert "errors" not in response.json()


async def test_a_trusted_document_is_validated_like_any_other(trusting: Api) -> None:
    response = await trusting.http.post("/graphql", json={"documentId": "old"})
    [error] = response.json()["errors"]
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_an_id_beside_a_document_is_refused(trusting: Api) -> None:
    body = {"documentId": "0a1b", "query": PAGE}
    assert (await trusting.http.post("/graphql", json=body)).status_code == 400


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a": 1}', '{"": "{ a }"}', json.dumps({"a" * 201: ""})]
)
def test_a_manifest_that_is_none_stops_the_server_from_starting(tmp_path: Path, text: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(text)
    for named in (path, tmp_path / "missing.json"):
        with pytest.raises(BadSettings, match="WELLSPRING_TRUSTED_DOCUMENTS"):
            app.create(Settings(secret=SECRET, trusted_documents=str(named)))


def test_none_but_trusted_documents_need_a_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELLSPRING_TRUSTED_DOCUMENTS_ONLY", "true")
    with pytest.raises(BadSettings, match="WELLSPRING_TRUSTED_DOCUMENTS is not set"):
        load()
