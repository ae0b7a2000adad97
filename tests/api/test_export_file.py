"""Editors export the library over HTTP: a job, and the file that it has made."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from api import importing
from api.nodes import to_id
from core import retention
from core.jobs import Job, JobItem
from members.models import Role
from tests import factories
from tests.client import Api

EXPORT = "mutation { contentsExport { job { id kind status url } errors { code } } }"
JOB = "query ($id: ID!) { node(id: $id) { ... on Job { status done total problems url } } }"


async def fetched(live: Api, token: str | None, url: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await live.http.get(url, headers=headers)


async def exported(live: Api, token: str) -> Any:
    """The job, once it is done."""
    begun = (await live.ask(EXPORT, token))["job"]
    for _ in range(400):
        job = await live.ask(JOB, token, id=begun["id"])
        if job["status"] == "DONE":
            return {**begun, **job}
        await asyncio.sleep(0.05)
    raise AssertionError("it has not ended after 20 s")


async def test_the_file_of_an_export_is_that_of_the_command(live: Api, tmp_path: Path) -> None:
    editor = (await factories.person("xia", Role.EDITOR)).token
    await factories.piece("tea", title="春茶", body="# Tea\n")
    await factories.piece("coffee")
    job = await exported(live, editor)
    assert (job["kind"], job["done"], job["total"]) == ("contents_export", 2, 2)
    answer = await fetched(live, editor, job["url"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/jsonl"
    assert answer.headers["cache-control"] == "no-store"

    await importing.export(tmp_path / "library.jsonl")
    lines = (tmp_path / "library.jsonl").read_text().splitlines()
    assert [*map(json.loads, answer.text.splitlines())] == [*map(json.loads, lines)]


async def test_an_export_is_for_editors_and_for_nobody_else(live: Api) -> None:
    editor = (await factories.person("xia", Role.EDITOR)).token
    finance = (await factories.person("fei", Role.FINANCE)).token
    job = await exported(live, editor)
    assert await live.refused(EXPORT, finance) == "FORBIDDEN"
    assert await live.refused(JOB, finance, id=job["id"]) == "FORBIDDEN"
    assert (await fetched(live, None, job["url"])).status_code == 401
    refused = await fetched(live, finance, job["url"])
    assert refused.status_code == 403
    assert refused.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_what_is_no_export_or_not_done_or_gone_is_refused(live: Api) -> None:
    editor = (await factories.person("xia", Role.EDITOR)).token
    await factories.piece("tea")
    job = await exported(live, editor)
    for nothing in ("", "x", to_id("Job", 999), to_id("Content", 1)):
        answer = await fetched(live, editor, f"/contents.jsonl?job={nothing}")
        assert answer.status_code == 404
    row = await Job.filter(kind="contents_export").get()
    await Job.filter(id=row.id).update(status="RUNNING")
    assert (await fetched(live, editor, job["url"])).status_code == 409
    assert (await live.ask(JOB, editor, id=job["id"]))["url"] is None
    await JobItem.filter(job_id=row.id).delete()
    await Job.filter(id=row.id).update(status="DONE")
    assert (await fetched(live, editor, job["url"])).status_code == 410
    await Job.filter(id=row.id).update(kind="contents_import")
    assert (await fetched(live, editor, job["url"])).status_code == 404


async def test_an_editor_who_asks_for_a_job_that_is_no_longer_kept_finds_nothing(
    live: Api,
) -> None:
    editor = (await factories.person("xia", Role.EDITOR)).token
    await factories.piece("tea")
    job = await exported(live, editor)
    while await retention.work(datetime.now(UTC) + timedelta(days=30)):
        pass
    assert await Job.all().count() == await JobItem.all().count() == 0
    assert await live.ask(JOB, editor, id=job["id"]) is None
    assert (await fetched(live, editor, job["url"])).status_code == 404
    shop = (await factories.person("shop", Role.SERVICE)).token
    assert await live.refused(JOB, shop, id=job["id"]) == "FORBIDDEN"
