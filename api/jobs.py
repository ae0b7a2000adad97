"""Long work, as the API shows it."""

from urllib.parse import urlencode

import strawberry

from api import access, export_file
from api.context import Info
from api.errors import UserError
from api.nodes import Node, to_id
from content import export_jobs
from core import jobs
from core.jobs import JobStatus

strawberry.enum(JobStatus, description="How far a job is.")


@strawberry.type(
    description="Work that takes long: ask `node` for it by its id until it is DONE or FAILED. "
    "Some weeks after it has ended there is no such job any more.",
    directives=[access.as_parent()],
)
class Job(Node):
    kind: str = strawberry.field(description="What is being done, such as `tier_rules`.")
    status: JobStatus = strawberry.field(description="How far it is.")
    done: int = strawberry.field(description="How many rows are done.")
    total: int | None = strawberry.field(description="Of how many, where that is known.")
    problems: list[str] = strawberry.field(description="What went wrong, at most 100 lines.")

    @strawberry.field(
        description="Where what it has made can be fetched with the same token; null until it is "
        "DONE, and where it makes nothing. The files of `contentsExport` are kept for a day."
    )
    def url(self, info: Info) -> str | None:
        if self.kind != export_jobs.TOPIC or self.status is not JobStatus.DONE:
            return None
        query = urlencode({"job": self.id})
        return f"{info.context.settings.base_url}{export_file.PATH}?{query}"

    @classmethod
    def of(cls, row: jobs.Job) -> "Job":
        return cls(
            id=to_id("Job", row.id),
            kind=row.kind,
            status=row.status,
            done=row.done,
            total=row.total,
            problems=list(row.problems),
        )


@strawberry.type(description="Work that was begun.", directives=[access.as_parent()])
class JobPayload:
    job: Job | None = strawberry.field(
        default=None, description="Ask `node` for it by its id until it is DONE."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="What has to be corrected; empty when it worked."
    )
