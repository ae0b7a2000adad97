"""Owns the answers that are given again: a request's key, what it asked and what it was told."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tortoise import fields
from tortoise.models import Model

from core import database, forgetting

TOPIC = "idempotency"
KEPT = timedelta(hours=24)


class KeptAnswer(Model):
    """What one idempotency key stands for. Its answer is sealed by the API."""

    id = fields.BigIntField(primary_key=True)
    key_hash = fields.CharField(max_length=64, unique=True)  # of the key and who sent it
    input_hash = fields.CharField(max_length=64)
    answer = fields.TextField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "kept_answer"


@dataclass(frozen=True, slots=True)
class Kept:
    """What the key was used for before."""

    input_hash: str
    answer: str


_TAKE = """
INSERT INTO kept_answer (key_hash, input_hash, answer, expires_at) VALUES ($1, $2, '', $3)
ON CONFLICT (key_hash) DO UPDATE
SET input_hash = excluded.input_hash, answer = '', expires_at = excluded.expires_at
WHERE kept_answer.expires_at <= $4
RETURNING id
"""


async def take(key_hash: str, input_hash: str, now: datetime) -> Kept | None:
    """Takes the key for the running unit of work, of which it has to be the first write; or says
    what it was used for within 24 hours, and takes nothing.

    Waits while another unit of work has it: should that one fail, this one takes it.
    """
    taken = await database.rows(_TAKE, key_hash, input_hash, now + KEPT, now)
    if taken:
        return None
    row = await KeptAnswer.get(key_hash=key_hash)
    return Kept(row.input_hash, row.answer)


async def keep(key_hash: str, answer: str) -> None:
    """Leaves the answer with the key that the running unit of work has taken."""
    await KeptAnswer.filter(key_hash=key_hash).update(answer=answer)


async def give_back(key_hash: str) -> None:
    """Forgets the key that the running unit of work has taken: nothing was done."""
    await KeptAnswer.filter(key_hash=key_hash).delete()


async def due(now: datetime) -> bool:
    """Whether any key has outlived its 24 hours."""
    return await forgetting.due(KeptAnswer, "expires_at", now)


async def work(now: datetime) -> bool:
    """Forgets keys that have outlived their 24 hours; False where there were none."""
    return await forgetting.forget(KeptAnswer, "expires_at", now)
