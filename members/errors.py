"""The mistakes that this room answers with."""

from datetime import timedelta

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


class CredentialsRejected(Mistake):
    """The two do not belong together; which of them is wrong is not said."""

    code = "CREDENTIALS_REJECTED"

    def __init__(self) -> None:
        super().__init__("This e-mail address and this password do not belong together.")


class TooManyAttempts(Exception):
    """So many attempts to sign in have failed that the next ones are not made."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__("Too many attempts to sign in.")
        self.wait = wait


class SourceForbidden(Mistake):
    """The API key may not speak for this shop."""

    code = "FORBIDDEN"

    def __init__(self, source: str) -> None:
        super().__init__(f"This API key may not speak for {source}.", "source")


class TooManySources(Mistake):
    """An API key names more sources than it may."""

    code = "LIMIT_EXCEEDED"

    def __init__(self, most: int) -> None:
        super().__init__(f"An API key names at most {most} sources.", "sources")


class LastAdmin(Mistake):
    """Nobody would be left who may give roles."""

    code = "FORBIDDEN"

    def __init__(self) -> None:
        super().__init__("Somebody has to stay ADMIN; give another one the role first.", "roles")


class WechatNotSetUp(Mistake):
    """The installation belongs to no mini-program."""

    code = "FORBIDDEN"

    def __init__(self) -> None:
        super().__init__("This installation has no WeChat mini-program; its operator names one.")


class WechatCodeRejected(Mistake):
    """WeChat does not know the code, or has seen it before."""

    code = "CREDENTIALS_REJECTED"

    def __init__(self) -> None:
        super().__init__("WeChat no longer takes this code; get a fresh one by wx.login.", "code")


class WechatRefused(Mistake):
    """WeChat holds this person for a risk."""

    code = "FORBIDDEN"

    def __init__(self) -> None:
        super().__init__("WeChat does not let this person sign in, for reasons of safety.", "code")


class WechatTaken(Mistake):
    """The WeChat identity belongs to another member."""

    code = "NOT_UNIQUE"

    def __init__(self) -> None:
        super().__init__("This WeChat account belongs to another member.", "code")


class WechatDiffers(Mistake):
    """The member has another WeChat identity already."""

    code = "NOT_UNIQUE"

    def __init__(self) -> None:
        super().__init__("You have linked another WeChat account already.", "code")


class WechatLimited(Exception):
    """WeChat takes no more sign-ins of this person for now: 100 a minute."""


class WechatUnavailable(Exception):
    """WeChat did not answer as it should; the text says how, for the operator."""


class ApiKeyNotFound(NotFound):
    """No API key has this id."""

    def __init__(self) -> None:
        super().__init__("There is no such API key.", "id")


class TierNotFound(NotFound):
    """No tier of the current rules has this code."""

    def __init__(self, code: str, *field: str) -> None:
        super().__init__(f"The rules have no tier {code}.", *field)


class StaleRules(Mistake):
    """Others have published rules since."""

    code = "STALE_VERSION"

    def __init__(self, version: int) -> None:
        super().__init__(
            f"The rules are at version {version} by now; look at them and try again.",
            "expectedVersion",
        )


class TierStillNamed(Mistake):
    """A tier that is left out is granted to somebody, or a content asks for it."""

    def __init__(self, tier: str) -> None:
        super().__init__(
            f"Tier {tier} cannot be left out: a grant or a content still names it.", "rules"
        )


class ThresholdNotMet(Mistake):
    """The rule of the tier does not hold for the member."""

    code = "THRESHOLD_NOT_MET"

    def __init__(self, tier: str, *field: str) -> None:
        super().__init__(f"What tier {tier} asks for is not reached.", *field)


class AlreadyApplied(Mistake):
    """There is an application of this member for this tier that is open or was approved."""

    code = "NOT_UNIQUE"

    def __init__(self, tier: str) -> None:
        super().__init__(f"There is an application for tier {tier} already.", "tier")


class AlreadyDecided(Mistake):
    """The application was approved or rejected before."""

    code = "INVALID_TRANSITION"

    def __init__(self) -> None:
        super().__init__("This application was decided before.", "id")


class RegisteredAtForbidden(Mistake):
    """Somebody else than a service says when an account was made."""

    code = "FORBIDDEN"

    def __init__(self) -> None:
        super().__init__("Only a service brings accounts that were made earlier.", "occurredAt")


class InsufficientBalance(Mistake):
    """An adjustment would leave less than zero."""

    code = "INSUFFICIENT_BALANCE"

    def __init__(self, available: int) -> None:
        super().__init__(f"{available} is available; no adjustment goes below zero.", "amount")


class AdjustmentDiffers(Mistake):
    """The same key came with something else before."""

    code = "IDEMPOTENCY_CONFLICT"

    def __init__(self) -> None:
        super().__init__(
            "This key stands for another adjustment; nothing was changed. Use a new one.", "key"
        )
