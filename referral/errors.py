"""The mistakes that this room answers with."""

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


class NotEnrolled(Mistake):
    """Links of a program are made by its promoters alone."""

    code = "NOT_ENROLLED"

    def __init__(self, program: str | None = None) -> None:
        of = "any program" if program is None else f"the program {program}"
        super().__init__(f"This needs a promoter of {of}; enrol first.", "program")


class ProgramClosed(Mistake):
    """The program has ended."""

    code = "PROGRAM_CLOSED"

    def __init__(self) -> None:
        super().__init__("This program has ended; nothing new begins in it.", "program")


class NotOpenToRole(Mistake):
    """The program is not for whoever has these roles."""

    code = "FORBIDDEN"

    def __init__(self, open_to: str) -> None:
        named = " or ".join(open_to.split(","))
        super().__init__(f"Only somebody with the role {named} may enrol here.", "program")


class LinkNotFound(NotFound):
    """No link has this id."""

    def __init__(self) -> None:
        super().__init__("There is no such link.", "id")


class LinkArchived(Mistake):
    """The link was archived before."""

    code = "LINK_ARCHIVED"

    def __init__(self) -> None:
        super().__init__("This link is archived already; it goes on leading to its target.", "id")
