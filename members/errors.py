"""The mistakes that this room answers with."""

from core.errors import Mistake, NotFound


class EmailTaken(Mistake):
    """Another member has this e-mail address."""

    code = "NOT_UNIQUE"

    def __init__(self) -> None:
        super().__init__("This e-mail address belongs to another member.", "email")


class CustomerRefTaken(Mistake):
    """The shop's customer is already another of our members."""

    code = "NOT_UNIQUE"

    def __init__(self, source: str, ref: str) -> None:
        super().__init__(
            f"Customer {ref} of {source} is linked to another member; the order was recorded "
            "for the member that it names.",
            "customerRef",
        )


class MemberNotFound(NotFound):
    """No member has this id."""

    def __init__(self, *field: str) -> None:
        super().__init__("There is no such member.", *field)


class TiersDiffer(Mistake):
    """The installation has other tiers than the ones asked for."""

    def __init__(self) -> None:
        super().__init__(
            "This database already has other tiers, with members who may stand in them; "
            "use an empty database."
        )
