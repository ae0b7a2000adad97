"""Owns what has to hold between commissions, pay-outs and the ledger; see `reconciliation`."""

# As `whereabouts.key` makes it.
COMMISSION_KEY = (
    "commission.conversion_id || ':' || commission.program_id || ':' || commission.promoter_id"
    " || ':' || commission.level || ':' || commission.asset"
)

# Every entry on a promoter's account that one commission made: a pay-out is not a commission's, so
# what was paid out of them is not among them.
_ENTRIES = f"""
    JOIN ledger_transfer AS transfer ON transfer.conversion_id = {{fact}}
        AND transfer.key LIKE '%:' || {COMMISSION_KEY}
    JOIN ledger_entry AS entry ON entry.transfer_id = transfer.id
    JOIN ledger_account AS account
        ON account.id = entry.account_id AND account.member_id IS NOT NULL
"""
_COMMISSION = """
    SELECT commission.id, commission.amount - commission.reversed AS rest,
        CASE commission.account WHEN 'PAID' THEN 'AVAILABLE' ELSE commission.account END AS lies,
        account.account AS booked_on, entry.amount
    FROM commission"""

# What has to be on each account of a member, by what stands elsewhere.
_DUE = """
    SELECT program_id, promoter_id AS member_id, asset,
        CASE account WHEN 'PAID' THEN 'AVAILABLE' ELSE account END AS account,
        amount - reversed AS amount
    FROM commission
    UNION ALL SELECT program_id, member_id, 'CASH', 'AVAILABLE', -amount_minor
    FROM payout WHERE status <> 'FAILED'
    UNION ALL SELECT program_id, member_id, 'CASH', 'PAID', amount_minor
    FROM payout WHERE status <> 'FAILED'
    UNION ALL SELECT account.program_id, account.member_id, account.asset, account.account,
        entry.amount
    FROM ledger_transfer AS transfer
    JOIN ledger_entry AS entry ON entry.transfer_id = transfer.id
    JOIN ledger_account AS account ON account.id = entry.account_id
    WHERE transfer.kind = 'ADJUST' AND account.member_id IS NOT NULL"""

CHECKS = {
    "commission {id}: {rest} of it lies in {lies}, and {booked} was booked on {booked_on}": f"""
        SELECT id, rest, lies, booked_on, CAST(SUM(amount) AS BIGINT) AS booked FROM (
            {_COMMISSION} {_ENTRIES.format(fact="commission.conversion_id")}
            UNION ALL {_COMMISSION}
            JOIN conversion AS refund ON refund.order_id = commission.conversion_id
            {_ENTRIES.format(fact="refund.id")}
        ) AS moved
        GROUP BY id, rest, lies, booked_on
        HAVING SUM(amount) <> CASE WHEN booked_on = lies THEN rest ELSE 0 END""",
    "account {key}: its entries sum to {entries}, what stands elsewhere makes {due}": f"""
        SELECT COALESCE(booked.key, due.program_id || ':' || due.asset || ':'
                || due.member_id || ':' || due.account) AS key,
            COALESCE(booked.amount, 0) AS entries, COALESCE(due.amount, 0) AS due
        FROM (
            SELECT account.key, account.program_id, account.member_id, account.asset,
                account.account, CAST(SUM(entry.amount) AS BIGINT) AS amount
            FROM ledger_account AS account JOIN ledger_entry AS entry
                ON entry.account_id = account.id
            WHERE account.member_id IS NOT NULL
            GROUP BY account.id, account.key, account.program_id, account.member_id,
                account.asset, account.account
        ) AS booked
        FULL JOIN (
            SELECT program_id, member_id, asset, account, CAST(SUM(amount) AS BIGINT) AS amount
            FROM ({_DUE}) AS each GROUP BY program_id, member_id, asset, account
        ) AS due ON due.program_id = booked.program_id AND due.member_id = booked.member_id
            AND due.asset = booked.asset AND due.account = booked.account
        WHERE COALESCE(booked.amount, 0) <> COALESCE(due.amount, 0)""",
    "payout {id}: is {status} over {amount_minor}, and {went} was booked out, {came} back": """
        SELECT id, status, amount_minor, went, came FROM (
            SELECT payout.id, payout.status, payout.amount_minor,
                CAST(COALESCE(SUM(CASE transfer.kind WHEN 'PAYOUT' THEN transfer.amount END), 0)
                    AS BIGINT) AS went,
                CAST(COALESCE(SUM(CASE transfer.kind WHEN 'PAYOUT_FAILED' THEN transfer.amount
                    END), 0) AS BIGINT) AS came
            FROM payout LEFT JOIN ledger_transfer AS transfer ON transfer.payout_id = payout.id
            GROUP BY payout.id, payout.status, payout.amount_minor
        ) AS booked
        WHERE went <> amount_minor
            OR came <> CASE status WHEN 'FAILED' THEN amount_minor ELSE 0 END""",
    "commission {id}: lies in {account}, and its pay-out is {status}": """
        SELECT commission.id, commission.account, COALESCE(payout.status, 'none') AS status
        FROM commission LEFT JOIN payout ON payout.id = commission.payout_id
        WHERE (commission.account = 'PAID') <> (commission.payout_id IS NOT NULL)
            OR payout.status = 'FAILED' OR payout.member_id <> commission.promoter_id
            OR payout.program_id <> commission.program_id
            OR (payout.id IS NOT NULL AND commission.asset <> 'CASH')""",
}
