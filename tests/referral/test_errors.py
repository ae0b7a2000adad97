"""Every mistake has its stable code and the field that it is about."""

import pytest

from core.errors import Mistake
from referral.errors import CodeUnknown, ExceedsOrder, IdempotencyConflict, TargetNotAllowed


@pytest.mark.parametrize(
    ("mistake", "code", "field", "says"),
    [
        (CodeUnknown(), "CODE_UNKNOWN", "code", "code"),
        (IdempotencyConflict("shop", "A-1"), "IDEMPOTENCY_CONFLICT", "externalId", "A-1 of shop"),
        (ExceedsOrder(7), "EXCEEDS_ORDER", "amountMinor", "7 minor units"),
        (TargetNotAllowed("https://x.example"), "INVALID", "targetUrl", "https://x.example"),
    ],
)
def test_a_mistake_names_its_code_and_its_field(
    mistake: Mistake, code: str, field: str, says: str
) -> None:
    assert (mistake.code, mistake.field) == (code, (field,))
    assert says in mistake.message
