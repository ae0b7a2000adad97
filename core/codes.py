"""Owns the short codes that people read aloud, type and scan.

A code is nine characters of upper-case Crockford base32: eight random ones (40 bits) and a Luhn
mod 32 check character, which catches every single wrong character and most swapped neighbours.
"""

import secrets

from stdnum import luhn

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 9
_FOLD = str.maketrans("OIL", "011")


def new() -> str:
    """A fresh random code with its check character."""
    return with_check("".join(secrets.choice(ALPHABET) for _ in range(LENGTH - 1)))


def with_check(body: str) -> str:
    """The eight characters of `body` with their check character behind them."""
    return body + luhn.calc_check_digit(body, ALPHABET)


def fold(text: str) -> str | None:
    """The code that `text` spells, or None when it spells none.

    Any case is accepted, O is read as 0, I and L as 1; the check character has to fit, so that a
    typing mistake is known without asking the database.
    """
    code = text.strip()
    if not code.isascii():  # upper() would make ASCII of letters that only look alike
        return None
    code = code.upper().translate(_FOLD)
    if len(code) != LENGTH or any(character not in ALPHABET for character in code):
        return None
    return code if luhn.is_valid(code, ALPHABET) else None
