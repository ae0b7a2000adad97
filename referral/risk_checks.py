"""Owns what has to hold between cases of risk, commissions and the ledger; see `reconciliation`."""

from referral.money_checks import COMMISSION_KEY

# What a case that was rejected took back of a commission: at most once, since nothing is left then.
REJECTION = f"""ledger_transfer AS rejection
            ON rejection.conversion_id = commission.conversion_id AND rejection.kind = 'REVERSE'
            AND rejection.key LIKE 'rejection:%:' || {COMMISSION_KEY}"""

_CASES = """
        FROM commission LEFT JOIN (
            SELECT item.commission_id, MIN(risk_case.id) AS case_id FROM risk_item AS item
            JOIN risk_case ON risk_case.id = item.case_id AND risk_case.status = 'OPEN'
            GROUP BY item.commission_id
        ) AS about ON about.commission_id = commission.id"""

CHECKS = {
    "commission {id}: lies in {account}, and case {case_id} is open about it": f"""
        SELECT commission.id, commission.account, about.case_id {_CASES}
        WHERE about.case_id IS NOT NULL AND commission.account IN ('PENDING', 'AVAILABLE')""",
    "commission {id}: {rest} of it are held, and no case is open about it": f"""
        SELECT commission.id, commission.amount - commission.reversed AS rest {_CASES}
        WHERE about.case_id IS NULL AND commission.account = 'HELD'
            AND commission.reversed < commission.amount""",
    "transfer {id}: takes back for a case that was not rejected": """
        SELECT transfer.id FROM ledger_transfer AS transfer
        WHERE transfer.kind = 'REVERSE' AND transfer.key LIKE 'rejection:%' AND NOT EXISTS (
            SELECT 1 FROM risk_case JOIN risk_item AS item ON item.case_id = risk_case.id
            WHERE risk_case.status = 'REJECTED' AND item.conversion_id = transfer.conversion_id
            AND transfer.key LIKE 'rejection:' || risk_case.id || ':%'
        )""",
}
