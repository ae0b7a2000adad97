"""Owns the file of an export that editors have begun: the rows that `wellspring import` takes."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api import downloads
from api.editing import EDITORS
from api.errors import Refusal
from api.nodes import find_id
from api.settings import Settings
from content import export_jobs
from core.jobs import Job, JobStatus
from members.identity import Viewer

PATH = "/contents.jsonl"
HEADERS = {
    "cache-control": "no-store",
    "content-disposition": 'attachment; filename="contents.jsonl"',
}


def route(settings: Settings) -> Callable[[Request], Awaitable[Response]]:
    """Answers `GET /contents.jsonl?job=ID` to whoever has the role EDITOR."""
    return downloads.route(settings, EDITORS, _download)


async def _download(request: Request, viewer: Viewer, now: datetime) -> Response:
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
