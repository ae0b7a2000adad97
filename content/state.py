"""Owns how to tell that the library has changed since somebody looked."""

from core import database

# Whoever writes what readers see leaves an entry in the audit trail, in the same transaction; new
# rules for the tiers are a new version. An entry whose transaction took longer than those of later
# ones comes in below them: the sum of the newest still grows.
_STATE = """
SELECT
    (SELECT SUM(id) FROM (SELECT id FROM audit_entry ORDER BY id DESC LIMIT 100) AS newest) AS acts,
    (SELECT MAX(version) FROM tier_rules) AS rules
"""


async def current() -> tuple[int, int]:
    """What is another pair once anything has changed, in one short statement."""
    [row] = await database.rows(_STATE)
    return int(row["acts"] or 0), row["rules"] or 0
