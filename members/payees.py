"""Owns where members want to be paid: encrypted wherever it is stored, masked wherever it is shown.

The secrets are handed in. From each two keys are derived, one that seals and one under which equal
accounts have equal fingerprints.
"""

import base64
import functools
import hashlib
import hmac
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core import audit, database
from core.errors import text
from members import models

BATCH = 200
KEY_BYTES = 32
SEALING, FINGERPRINTING = b"wellspring payee sealing", b"wellspring payee fingerprint"
METHOD_CHARACTERS = 40
NAME_CHARACTERS = 100
ACCOUNT_CHARACTERS = 100
SHOWN_CHARACTERS = 4
STARS = "****"


class Unreadable(Exception):
    """It was sealed with a secret that is none of the ones at hand."""


@dataclass(frozen=True, slots=True)
class Payee:
    """Where somebody is paid, in the clear."""

    method: str
    name: str
    account: str
    bank: str | None = None

    @property
    def masked_account(self) -> str:
        """The last 4 characters, or the last half of a shorter one."""
        shown = min(SHOWN_CHARACTERS, len(self.account) // 2)
        return STARS + self.account[len(self.account) - shown :]


class Vault:
    """Seals with the first of its secrets, and opens what any of them has sealed."""

    def __init__(self, secrets: Sequence[str]) -> None:
        sealing = [_derived(each, SEALING) for each in secrets]
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(each)) for each in sealing])
        self._fingerprinting = _derived(secrets[0], FINGERPRINTING)

    def seal(self, payee: Payee) -> str:
        return self._fernet.encrypt(json.dumps(asdict(payee)).encode()).decode()

    def open(self, sealed: str) -> Payee:
        """Raises `Unreadable`."""
        try:
            return Payee(**json.loads(self._fernet.decrypt(sealed.encode())))
        except InvalidToken as error:
            raise Unreadable("A payee was sealed with a secret that is not at hand.") from error

    def reseal(self, sealed: str) -> str:
        """The same under the first secret; raises `Unreadable`."""
        return self.seal(self.open(sealed))

    def fingerprint(self, payee: Payee) -> str:
        """Equal for one account of one method, however it is written; tells nothing else."""
        fact = json.dumps([_plain(payee.method), _plain(payee.account)]).encode()
        return hmac.new(self._fingerprinting, fact, hashlib.sha256).hexdigest()


@functools.lru_cache(maxsize=8)
def vault(secrets: tuple[str, ...]) -> Vault:
    """The vault of these secrets, the newest first; at least one."""
    return Vault(secrets)


def _derived(secret: str, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose).derive(secret.encode())


def _plain(written: str) -> str:
    """Without the blanks and dashes that people group digits by, in one width and case."""
    folded = unicodedata.normalize("NFKC", written).casefold()
    return "".join(each for each in folded if each.isalnum() or each in "@._+")


@database.unit_of_work
async def put(member_id: int, payee: Payee, vault: Vault, now: datetime) -> None:
    """Keeps where the member is paid from now on; pay-outs that were made stay as they are.

    Raises `Required`, `TooLong` or `Invalid` with the field. Audited, masked.
    """
    payee = _checked(payee)
    await database.lock(f"payee:{member_id}")
    await models.Payee.filter(member_id=member_id).delete()
    await models.Payee.create(
        member_id=member_id,
        sealed=vault.seal(payee),
        fingerprint=vault.fingerprint(payee),
        updated_at=now,
    )
    await audit.note(
        "payeeSet",
        "Member",
        [member_id],
        actor_id=member_id,
        now=now,
        detail={"method": payee.method, "account": payee.masked_account},
    )


def _checked(payee: Payee) -> Payee:
    return Payee(
        text(payee.method, "method", most=METHOD_CHARACTERS),
        text(payee.name, "name", most=NAME_CHARACTERS),
        text(payee.account, "account", most=ACCOUNT_CHARACTERS),
        None if payee.bank is None else text(payee.bank, "bank", most=NAME_CHARACTERS),
    )


async def of(member_id: int, vault: Vault) -> Payee | None:
    """Where the member is paid, in the clear; raises `Unreadable`."""
    row = await models.Payee.get_or_none(member_id=member_id)
    return row and vault.open(row.sealed)


async def sharing(member_id: int) -> Sequence[int]:
    """Everybody who is paid to the same account as this member, the member among them."""
    mine = await models.Payee.get_or_none(member_id=member_id)
    if mine is None:
        return []
    same = models.Payee.filter(fingerprint=mine.fingerprint).order_by("member_id")
    return [row.member_id for row in await same]


@database.unit_of_work
async def reseal(vault: Vault, after: int) -> int | None:
    """Has up to 200 payees behind this id sealed and fingerprinted by the newest secret; the last
    of them, or None where there was none. Raises `Unreadable`."""
    rows = await models.Payee.filter(id__gt=after).order_by("id").limit(BATCH).select_for_update()
    for row in rows:
        payee = vault.open(row.sealed)
        row.sealed, row.fingerprint = vault.seal(payee), vault.fingerprint(payee)
        await row.save(update_fields=["sealed", "fingerprint"])
    return rows[-1].id if rows else None
