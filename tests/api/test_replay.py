"""The replay finds the place where an earlier run stopped."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from api import replay
from api.retail import Order, Step

STEPS: Sequence[Step] = [
    Order(str(number), "7", 1, datetime(2011, 1, 1, tzinfo=UTC), known=True)
    for number in range(1_000)
]


class Shop:
    """Knows the first steps, and counts how often it is asked."""

    def __init__(self, played: int) -> None:
        self._known = {step.external_id for step in STEPS[:played]}
        self.asked = 0

    async def known(self, step: Step) -> bool:
        self.asked += 1
        return step.external_id in self._known


@pytest.mark.parametrize("total", [0, 1, 2, 3, 7, 8])
async def test_every_place_of_a_short_replay_is_found(total: int) -> None:
    for played in range(total + 1):
        shop: Any = Shop(played)
        assert await replay._resume_at(shop, STEPS[:total]) == played


@given(some.integers(0, len(STEPS)))
async def test_the_place_is_found_with_few_questions(played: int) -> None:
    shop: Any = Shop(played)
    assert await replay._resume_at(shop, STEPS) == played
    assert shop.asked <= 10
