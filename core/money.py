"""Owns how amounts are rounded, integers in, integers out, and how they are written for people."""

# The currencies of ISO 4217 that do not have two decimal places.
_NO_PLACES = frozenset(
    (
        *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"),
        *("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"),
    )
)
_THREE_PLACES = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))


def half_up(numerator: int, denominator: int) -> int:
    """`numerator / denominator` to the nearest integer, a half upwards.

    Both are exact integers, so no binary fraction is ever involved. Raises ValueError for a
    negative numerator or a denominator below one: signs belong to the ledger, not to rounding.
    """
    if numerator < 0 or denominator < 1:
        raise ValueError(f"cannot round {numerator}/{denominator}")
    return (2 * numerator + denominator) // (2 * denominator)


def decimal(amount_minor: int, currency: str) -> str:
    """The amount as it stands on a bank form, such as 12.34 for 1234 of CNY; a currency that is
    not known to be otherwise has two decimal places."""
    if currency in _NO_PLACES:
        return str(amount_minor)
    places = 3 if currency in _THREE_PLACES else 2
    whole, part = divmod(abs(amount_minor), 10**places)
    return f"{'-' if amount_minor < 0 else ''}{whole}.{part:0{places}}"
