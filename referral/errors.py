"""The mistakes that this room answers with."""

from collections.abc import Collection

from core.errors import Invalid, Mistake, NotFound


class CodeUnknown(Mistake):
    """No link has this code."""

    code = "CODE_UNKNOWN"

    def __init__(self, field: str = "code") -> None:
        super().__init__("No link has this code; check it for typing mistakes.", field)


class IdempotencyConflict(Mistake):
    """The same external id came with other figures before."""

    code = "IDEMPOTENCY_CONFLICT"

    def __init__(self, source: str, external_id: str) -> None:
        super().__init__(
            f"{external_id} of {source} was recorded with other figures; nothing was changed.",
            "externalId",
        )


class ExceedsOrder(Mistake):
    """The refunds of an order would add up to more than its amount."""

    code = "EXCEEDS_ORDER"

    def __init__(self, left_minor: int) -> None:
        super().__init__(
            f"Of this order {left_minor} minor units are left to refund.", "amountMinor"
        )


class TargetNotAllowed(Invalid):
    """A link may lead to our own pages and to the hosts of TARGET_HOSTS alone."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"{url} is on no host that links may lead to: ours, and what the operator allows.",
            "targetUrl",
        )


class ProgramNotFound(NotFound):
    """No program has this code."""

    def __init__(self, code: str) -> None:
        super().__init__(f"There is no program {code}.", "program")


class NotOpenTo(Mistake):
    """The program takes promoters with other roles alone."""

    code = "FORBIDDEN"

    def __init__(self, program: str, roles: Collection[str]) -> None:
        super().__init__(
            f"{program} takes promoters with the role {' or '.join(sorted(roles))}.", "program"
        )


class ProgramClosed(Mistake):
    """The program has ended."""

    code = "PROGRAM_CLOSED"

    def __init__(self, program: str) -> None:
        super().__init__(f"{program} has ended; what it credited stays.", "program")


class NotEnrolled(Mistake):
    """Who should be a promoter of the program is none."""

    code = "NOT_ENROLLED"

    def __init__(self, field: str = "program") -> None:
        super().__init__("This needs a promoter of the program: enrol first.", field)


class AlreadySuspended(Mistake):
    """An enrolment that is suspended cannot be suspended, one that is not cannot be resumed."""

    code = "INVALID_TRANSITION"

    def __init__(self, *, suspended: bool) -> None:
        now = "is suspended already" if suspended else "is not suspended"
        super().__init__(f"This enrolment {now}.", "id")


class TooMany(Mistake):
    """A list above its limit."""

    code = "LIMIT_EXCEEDED"

    def __init__(self, most: int, *field: str) -> None:
        super().__init__(f"At most {most} in one call; send the others in another one.", *field)


class PayoutNotFound(NotFound):
    """No pay-out has this id."""

    def __init__(self) -> None:
        super().__init__("There is no such pay-out.", "id")


class PayoutSettled(Mistake):
    """The pay-out cannot go from where it is to there."""

    code = "INVALID_TRANSITION"

    def __init__(self, status: str) -> None:
        super().__init__(
            f"This pay-out is {status}: PROCESSING may become SENT or FAILED, SENT may become "
            "FAILED.",
            "id",
        )


class RiskCaseNotFound(NotFound):
    """No case has this id."""

    def __init__(self) -> None:
        super().__init__("There is no such case.", "id")


class RiskCaseDecided(Mistake):
    """A case is decided once."""

    code = "INVALID_TRANSITION"

    def __init__(self, status: str) -> None:
        super().__init__(f"This case is {status} already.", "id")


class OwnRiskCase(Mistake):
    """A case is decided by somebody whom it is not about."""

    code = "FORBIDDEN"

    def __init__(self) -> None:
        super().__init__("This case is about yourself: a colleague has to decide it.", "id")


class LinkNotFound(NotFound):
    """No link has this id."""

    def __init__(self) -> None:
        super().__init__("There is no such link.", "id")


class LinkArchived(Mistake):
    """The link was archived before."""

    code = "LINK_ARCHIVED"

    def __init__(self) -> None:
        super().__init__("This link is archived already; it goes on leading to its target.", "id")
