"""Owns the one way in which amounts are rounded: integers in, integers out."""


def half_up(numerator: int, denominator: int) -> int:
    """`numerator / denominator` to the nearest integer, a half upwards.

    Both are exact integers, so no binary fraction is ever involved. Raises ValueError for a
    negative numerator or a denominator below one: signs belong to the ledger, not to rounding.
    """
    if numerator < 0 or denominator < 1:
        raise ValueError(f"cannot round {numerator}/{denominator}")
    return (2 * numerator + denominator) // (2 * denominator)
