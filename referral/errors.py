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
