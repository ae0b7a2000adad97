"""Owns the facts that members' metrics are made of, as conversions and the ledger tell them.

What crediting has booked step by step has to be what these statements select: `reconciliation`
compares the two, `recomputing` writes the second in place of the first.
"""

# Each selects member_id, metric, conversion_id, plan, at, amount, recorded_at; `{scope}` is a
# condition on `member_id`.
PAYMENTS = """
SELECT member_id, CASE type WHEN 'FEE' THEN 'FEE' ELSE 'SPEND' END AS metric, id AS conversion_id,
    CASE type WHEN 'FEE' THEN plan END AS plan, occurred_at AS at,
    CASE type WHEN 'REFUND' THEN -amount_minor ELSE amount_minor END AS amount, recorded_at
FROM conversion
WHERE type IN ('ORDER', 'FEE', 'REFUND') AND amount_minor > 0
    AND status IN ('CREDITED', 'NOT_CREDITED', 'REVERSED') AND {scope}
"""
POINTS = """
SELECT account.member_id, 'POINTS_EARNED' AS metric, conversion.id AS conversion_id,
    CAST(NULL AS VARCHAR(40)) AS plan, conversion.occurred_at AS at,
    CAST(SUM(entry.amount) AS BIGINT) AS amount, conversion.recorded_at
FROM ledger_entry AS entry
JOIN ledger_transfer AS transfer ON transfer.id = entry.transfer_id
    AND transfer.kind IN ('ACCRUE', 'REVERSE')
JOIN ledger_account AS account ON account.id = entry.account_id
JOIN conversion ON conversion.id = transfer.conversion_id
WHERE account.asset = 'POINTS' AND {scope}
GROUP BY account.member_id, conversion.id, conversion.occurred_at, conversion.recorded_at
"""
# Selects inviter_id, invitee_id, registered_at, bought_at, promoted_at; `{scope}` is a condition
# on `inviter_id`.
INVITATIONS = """
SELECT invited.inviter_id, invited.invitee_id, invited.registered_at,
    CASE WHEN spent.spend > 0 THEN spent.first_order_at END AS bought_at, enrolled.promoted_at
FROM (
    SELECT promoter_id AS inviter_id, conversion.member_id AS invitee_id,
        MIN(conversion.occurred_at) AS registered_at
    FROM attribution JOIN conversion ON conversion.id = attribution.conversion_id
    WHERE conversion.type = 'REGISTRATION' AND attribution.level = 1
    GROUP BY promoter_id, conversion.member_id
) AS invited
LEFT JOIN (
    SELECT member_id,
        SUM(CASE type WHEN 'REFUND' THEN -amount_minor ELSE amount_minor END) AS spend,
        MIN(CASE type WHEN 'ORDER' THEN occurred_at END) AS first_order_at
    FROM conversion
    WHERE type IN ('ORDER', 'REFUND') AND amount_minor > 0
        AND status IN ('CREDITED', 'NOT_CREDITED', 'REVERSED')
    GROUP BY member_id
) AS spent ON spent.member_id = invited.invitee_id
LEFT JOIN (
    SELECT member_id, MIN(created_at) AS promoted_at FROM enrollment GROUP BY member_id
) AS enrolled ON enrolled.member_id = invited.invitee_id
WHERE {scope}
"""


def of_members(scope: str) -> str:
    """Selects all facts of the members for which `scope`, over `{column}`, holds."""
    payments = PAYMENTS.format(scope=scope.format(column="member_id"))
    points = POINTS.format(scope=scope.format(column="account.member_id"))
    return f"{payments} UNION ALL {points}"


def invitations_of(scope: str) -> str:
    """Selects all invitations by the members for which `scope`, over `{column}`, holds."""
    return INVITATIONS.format(scope=scope.format(column="invited.inviter_id"))


# What the facts add up to, in the shape of a standing.
TOTALS = """
SELECT standing.member_id, COALESCE(sums.spend, 0) AS spend_minor,
    COALESCE(sums.fees, 0) AS fees_minor, COALESCE(sums.points, 0) AS points_earned,
    COALESCE(invited.registered, 0) AS invited_registered,
    COALESCE(invited.bought, 0) AS invited_bought,
    COALESCE(invited.promoted, 0) AS invited_promoted, sums.first_order_at
FROM standing
LEFT JOIN (
    SELECT member_id, CAST(SUM(CASE metric WHEN 'SPEND' THEN amount ELSE 0 END) AS BIGINT) AS spend,
        CAST(SUM(CASE metric WHEN 'FEE' THEN amount ELSE 0 END) AS BIGINT) AS fees,
        CAST(SUM(CASE metric WHEN 'POINTS_EARNED' THEN amount ELSE 0 END) AS BIGINT) AS points,
        MIN(CASE WHEN metric = 'SPEND' AND amount > 0 THEN at END) AS first_order_at
    FROM metric_fact WHERE {facts} GROUP BY member_id
) AS sums ON sums.member_id = standing.member_id
LEFT JOIN (
    SELECT inviter_id, COUNT(*) AS registered, COUNT(bought_at) AS bought,
        COUNT(promoted_at) AS promoted
    FROM invitation WHERE {invitations} GROUP BY inviter_id
) AS invited ON invited.inviter_id = standing.member_id
WHERE {standings}
"""


def totals(scope: str) -> str:
    """Selects the metrics of the members for which `scope`, over `{column}`, holds."""
    return TOTALS.format(
        facts=scope.format(column="member_id"),
        invitations=scope.format(column="inviter_id"),
        standings=scope.format(column="standing.member_id"),
    )
