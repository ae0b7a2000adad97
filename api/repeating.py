"""Owns requests that come again: a mutation with an `Idempotency-Key` takes effect once.

The key is taken, the mutations are carried out and the answer is kept in one transaction: a request
that dies on its way leaves nothing, and one that comes meanwhile waits for the first.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from cryptography.fernet import Fernet
from graphql import DocumentNode, ExecutionResult, OperationDefinitionNode

from api import errors
from api.documents import root_names
from api.errors import Outcome, Refusal
from core import database, idempotency
from core.errors import KeyReused
from members.identity import Viewer

HEADER = "idempotency-key"
REPLAYED = "idempotency-replayed"
KEY = re.compile(r"[\x21-\x7e]{16,200}")
# What has a key of its own in its input, or opens and ends sessions: the header says nothing there.
WITHOUT = frozenset(
    {
        *("orderRecord", "ordersRecord", "feeRecord", "refundRecord", "customerLink"),
        *("memberEnsure", "ledgerAdjust", "signIn", "signInWithWechat", "wechatLink", "signOut"),
    }
)

Run = Callable[[], Awaitable[ExecutionResult]]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A request that may have come before."""

    key_hash: str
    input_hash: str
    sealing: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The data of an answer, and whether it was given before."""

    result: ExecutionResult
    replayed: bool = False


class _Undone(Exception):
    """Something went wrong beyond a mistake of the caller: nothing of it may stay."""

    def __init__(self, result: ExecutionResult) -> None:
        super().__init__("nothing was carried out")
        self.result = result


def applies(document: DocumentNode, operation: OperationDefinitionNode) -> bool:
    """Whether a key means anything for these mutations; raises `Refusal` where for some only."""
    names = {*root_names(document, operation)} - {"__typename"}
    if names <= WITHOUT:
        return False
    if own := sorted(names & WITHOUT):
        raise Refusal(f"An Idempotency-Key does not go with {own[0]}: send that alone.")
    return True


def repeat(key: str, asked: tuple[object, ...], viewer: Viewer | None, secret: str) -> Repeat:
    """The request under its key; raises `Refusal` for a key that is none.

    Neither the key nor the answer can be read from what is stored: tokens are among the answers.
    """
    key = key.removeprefix('"').removesuffix('"')
    if not KEY.fullmatch(key):
        raise Refusal("An Idempotency-Key has 16 to 200 visible ASCII characters, as a UUID has.")
    who = "" if viewer is None else str(viewer.member_id)
    whole = f"{who} {key}".encode()
    plain = json.dumps(asked, sort_keys=True).encode()
    return Repeat(
        key_hash=_derived(secret, "idempotency key", whole).hex(),
        input_hash=hashlib.sha256(plain).hexdigest(),
        sealing=base64.urlsafe_b64encode(_derived(secret, "idempotent answer", whole)),
    )


def _derived(secret: str, purpose: str, whole: bytes) -> bytes:
    return hmac.digest(secret.encode(), f"wellspring {purpose} ".encode() + whole, "sha256")


async def once(asked: Repeat, now: datetime, run: Run) -> Answered:
    """The result of running it, or of when it ran first. What was only refused as the caller's
    mistake is not kept, and what failed otherwise leaves nothing at all."""
    try:
        return await _once(asked, now, run)
    except _Undone as undone:
        return Answered(undone.result)


@database.unit_of_work
async def _once(asked: Repeat, now: datetime, run: Run) -> Answered:
    kept = await idempotency.take(asked.key_hash, asked.input_hash, now)
    if kept is not None:
        return await _again(asked, kept, run)
    noted = Outcome()
    errors.outcome.set(noted)
    result = await run()
    if result.errors:
        raise _Undone(result)
    if noted.mistaken and not noted.done:
        await idempotency.give_back(asked.key_hash)
    else:
        sealed = Fernet(asked.sealing).encrypt(errors.as_json(result.data))
        await idempotency.keep(asked.key_hash, sealed.decode())
    return Answered(result)


async def _again(asked: Repeat, kept: idempotency.Kept, run: Run) -> Answered:
    if kept.input_hash != asked.input_hash:
        errors.outcome.set(Outcome(mistake=KeyReused()))
        return Answered(await run())
    data = json.loads(Fernet(asked.sealing).decrypt(kept.answer.encode()))
    return Answered(ExecutionResult(data, None), replayed=True)
