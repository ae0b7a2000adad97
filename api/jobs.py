"""Long work, as the API shows it."""

import strawberry

from api import access
from api.errors import UserError
from api.nodes import Node, to_id
from core import jobs
from core.jobs import JobStatus

strawberry.enum(JobStatus, description="How far a job is.")


@strawberry.type(
    description="Work that takes long: ask `node` for it by its id until it is DONE or FAILED.",
    directives=[access.as_parent()],
)
class Job(Node):
    kind: str = strawberry.field(description="What is being done, such as `tier_rules`.")
    status: JobStatus = strawberry.field(description="How far it is.")
    done: int = strawberry.field(description="How many rows are done.")
    total: int | None = strawberry.field(description="Of how many, where that is known.")
    problems: list[str] = strawberry.field(description="What went wrong, at most 100 lines.")

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
