"""Owns the file of an export that editors have begun: the rows that `wellspring import` takes."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api import bearers
from api.context import Context
from api.editing import EDITORS
from api.errors import Refusal, refused
from api.nodes import find_id
from api.requests import request_id
from api.settings import Settings
from content import export_jobs
from core.jobs import Job, JobStatus

PATH = "/contents.jsonl"
HEADERS = {
    "cache-control": "no-store",
    "content-disposition": 'attachment; filename="contents.jsonl"',
}


def route(settings: Settings) -> Callable[[Request], Awaitable[Response]]:
    """Answers `GET /contents.jsonl?job=ID` to whoever has the role EDITOR."""

    async def download(request: Request) -> Response:
        try:
            return await _download(request, settings)
        except Refusal as refusal:
            return refused(refusal, request_id())

    return download


async def _download(request: Request, settings: Settings) -> Response:
    now = datetime.now(UTC)
    Context(settings, now, await bearers.viewer(request, now)).allow(EDITORS)
    id = find_id("Job", request.query_params.get("job", ""))
    job = await Job.get_or_none(id=id, kind=export_jobs.TOPIC)
    if job is None:
        raise Refusal("`job` is the id of a job of `contentsExport`.", 404)
    if job.status is not JobStatus.DONE:
        raise Refusal("This job is not DONE: ask `node` for it until it is.", 409)
    if not await export_jobs.is_kept(job):
        raise Refusal("What this job made is no longer kept; begin another.", 410)
    return StreamingResponse(
        export_jobs.lines(job), headers=HEADERS, media_type="application/jsonl"
    )
