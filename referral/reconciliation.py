"""Owns the proof that the books are right: everything derived is computed again and compared."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from core import database, outbox
from core.jobs import Job
from members import reevaluating, tiers
from members.metrics import EVERYBODY, LIFETIME
from members.models import LedgerTransfer, Tier
from referral import facts, money_checks, recounting, rewards, risk_checks
from referral.money_checks import COMMISSION_KEY

SHOWN_PER_CHECK = 20


def _differ(one: str, other: str, columns: Sequence[str]) -> str:
    return " OR ".join(f"{one}.{column} IS DISTINCT FROM {other}.{column}" for column in columns)


# Each statement names the rows that contradict what the check's sentence claims.
CHECKS = {
    **money_checks.CHECKS,
    **risk_checks.CHECKS,
    "transfer {id}: its entries do not sum to zero": """
        SELECT transfer.id FROM ledger_transfer AS transfer
        LEFT JOIN ledger_entry AS entry ON entry.transfer_id = transfer.id
        GROUP BY transfer.id HAVING COUNT(entry.id) <> 2 OR SUM(entry.amount) <> 0""",
    "account {key}: the balance is {balance}, its entries sum to {entries}": """
        SELECT account.key, account.balance,
            CAST(COALESCE(SUM(entry.amount), 0) AS BIGINT) AS entries
        FROM ledger_account AS account
        LEFT JOIN ledger_entry AS entry ON entry.account_id = account.id
        GROUP BY account.id, account.key, account.balance
        HAVING account.balance <> COALESCE(SUM(entry.amount), 0)""",
    "commission {id}: {amount} is due, {accrued} was accrued": f"""
        SELECT commission.id, commission.amount, COALESCE(transfer.amount, 0) AS accrued
        FROM commission LEFT JOIN ledger_transfer AS transfer
            ON transfer.key = 'commission:' || {COMMISSION_KEY}
        WHERE commission.amount <> COALESCE(transfer.amount, 0)""",
    "transfer {id}: accrues a commission that is not there": f"""
        SELECT transfer.id FROM ledger_transfer AS transfer LEFT JOIN commission
            ON commission.conversion_id = transfer.conversion_id
            AND transfer.key = 'commission:' || {COMMISSION_KEY}
        WHERE transfer.kind = 'ACCRUE' AND commission.id IS NULL""",
    "commission {id}: {reversed} is marked as reversed, {booked} was booked": f"""
        SELECT commission.id, commission.reversed, CAST(COALESCE(SUM(transfer.amount), 0)
            + COALESCE(MAX(rejection.amount), 0) AS BIGINT) AS booked
        FROM commission
        LEFT JOIN conversion AS refund ON refund.order_id = commission.conversion_id
        LEFT JOIN ledger_transfer AS transfer ON transfer.key
            = 'reversal:' || refund.id || ':' || {COMMISSION_KEY}
        LEFT JOIN {risk_checks.REJECTION}
        GROUP BY commission.id, commission.reversed
        HAVING commission.reversed
            <> COALESCE(SUM(transfer.amount), 0) + COALESCE(MAX(rejection.amount), 0)""",
    "order {external_id} of {source}: it is {status} and has {commissions} commissions": """
        SELECT conversion.source, conversion.external_id, conversion.status,
            COUNT(commission.id) AS commissions
        FROM conversion LEFT JOIN commission ON commission.conversion_id = conversion.id
        WHERE conversion.type = 'ORDER'
        GROUP BY conversion.id, conversion.source, conversion.external_id, conversion.status
        HAVING (conversion.status IN ('CREDITED', 'REVERSED')) <> (COUNT(commission.id) > 0)""",
    "order {external_id} of {source}: is {status}, {refunded} of {amount_minor} went back": """
        SELECT sale.source, sale.external_id, sale.status, sale.amount_minor,
            CAST(COALESCE(SUM(refund.amount_minor), 0) AS BIGINT) AS refunded
        FROM conversion AS sale LEFT JOIN conversion AS refund
            ON refund.order_id = sale.id AND refund.status IN ('CREDITED', 'NOT_CREDITED')
        WHERE sale.type = 'ORDER' AND sale.status IN ('CREDITED', 'REVERSED')
        GROUP BY sale.id, sale.source, sale.external_id, sale.status, sale.amount_minor
        HAVING (sale.status = 'REVERSED')
            <> (COALESCE(SUM(refund.amount_minor), 0) = sale.amount_minor)""",
    "refund {external_id} of {source}: it is {status}, and its order is {order_status}": """
        SELECT refund.source, refund.external_id, refund.status, sale.status AS order_status
        FROM conversion AS refund LEFT JOIN conversion AS sale ON sale.id = refund.order_id
        WHERE refund.type = 'REFUND' AND refund.status IN ('CREDITED', 'NOT_CREDITED')
            AND (refund.status = 'CREDITED')
                <> (COALESCE(sale.status, '') IN ('CREDITED', 'REVERSED'))""",
    "conversion {id}: it is PENDING, and no work on it is open": """
        SELECT conversion.id FROM conversion WHERE conversion.status = 'PENDING' AND NOT EXISTS (
            SELECT 1 FROM outbox WHERE outbox.topic = 'conversion'
            AND outbox.subject_id = conversion.id AND outbox.done_at IS NULL
        )""",
    "member {id}: its tier is not the one that its last change led to": """
        SELECT standing.member_id AS id FROM standing
        LEFT JOIN tier_change AS latest ON latest.id = (
            SELECT MAX(id) FROM tier_change WHERE member_id = standing.member_id
        )
        WHERE COALESCE(standing.tier_id, 0) <> COALESCE(latest.to_tier_id, 0)""",
    "order {external_id} of {source}: {counted} counted as refunded, its refunds sum to {sum}": """
        SELECT sale.source, sale.external_id, sale.refunded_minor AS counted,
            CAST(COALESCE(SUM(refund.amount_minor), 0) AS BIGINT) AS sum
        FROM conversion AS sale LEFT JOIN conversion AS refund ON refund.order_id = sale.id
        WHERE sale.type = 'ORDER'
        GROUP BY sale.id, sale.source, sale.external_id, sale.refunded_minor
        HAVING sale.refunded_minor <> COALESCE(SUM(refund.amount_minor), 0)""",
    "member {id}: has metrics that its facts do not add up to": f"""
        SELECT standing.member_id AS id FROM standing
        JOIN ({facts.totals(EVERYBODY)}) AS total ON total.member_id = standing.member_id
        WHERE {_differ("standing", "total", (*LIFETIME.values(), "first_order_at"))}""",
    "member {id}: conversion {conversion} counts otherwise for {metric} than it was booked": f"""
        SELECT COALESCE(due.member_id, fact.member_id) AS id,
            COALESCE(due.conversion_id, fact.conversion_id) AS conversion,
            COALESCE(due.metric, fact.metric) AS metric
        FROM ({facts.of_members(EVERYBODY)}) AS due
        FULL JOIN metric_fact AS fact ON fact.member_id = due.member_id
            AND fact.metric = due.metric AND fact.conversion_id = due.conversion_id
        WHERE {_differ("due", "fact", ("amount", "at", "plan"))}""",
    "member {id}: what became of invitee {invitee} is not what was booked": f"""
        SELECT COALESCE(due.inviter_id, booked.inviter_id) AS id,
            COALESCE(due.invitee_id, booked.invitee_id) AS invitee
        FROM ({facts.invitations_of(EVERYBODY)}) AS due
        FULL JOIN invitation AS booked ON booked.inviter_id = due.inviter_id
            AND booked.invitee_id = due.invitee_id
        WHERE {_differ("due", "booked", ("registered_at", "bought_at", "promoted_at"))}""",
    "{type} {external_id} of {source}: is PARKED, and what it waits for is there": """
        SELECT parked.type, parked.source, parked.external_id FROM conversion AS parked
        LEFT JOIN conversion AS sale ON sale.type = 'ORDER' AND sale.source = parked.source
            AND sale.external_id = parked.order_external_id
        LEFT JOIN customer_ref ON customer_ref.source = parked.source
            AND customer_ref.ref = parked.customer_ref
        WHERE parked.status = 'PARKED' AND (
            (parked.order_external_id IS NULL
                AND (parked.member_id IS NOT NULL OR customer_ref.id IS NOT NULL))
            OR (sale.status NOT IN ('PENDING', 'PARKED') AND (parked.order_id IS NOT NULL
                OR sale.refunded_minor + parked.amount_minor <= sale.amount_minor))
        )""",
    "refund {external_id} of {source}: waits, since it exceeds its order": """
        SELECT refund.source, refund.external_id FROM conversion AS refund
        JOIN conversion AS sale ON sale.type = 'ORDER' AND sale.source = refund.source
            AND sale.external_id = refund.order_external_id
        WHERE refund.type = 'REFUND' AND refund.status = 'PARKED' AND refund.order_id IS NULL
            AND sale.status NOT IN ('PENDING', 'PARKED')
            AND sale.refunded_minor + refund.amount_minor > sale.amount_minor""",
}

REFUNDED_COMMISSIONS = f"""
    SELECT commission.id, commission.amount, commission.reversed,
        sale.amount_minor, SUM(refund.amount_minor) AS refunded, MAX(rejection.id) AS rejection_id
    FROM commission
    JOIN conversion AS sale ON sale.id = commission.conversion_id
    JOIN conversion AS refund ON refund.order_id = sale.id
        AND refund.status IN ('CREDITED', 'NOT_CREDITED')
    LEFT JOIN {risk_checks.REJECTION}
    GROUP BY commission.id, commission.amount, commission.reversed, sale.amount_minor"""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """How many transfers were looked at, and what does not fit; at most 20 of each kind."""

    transfers: int
    problems: Sequence[str]

    @property
    def ok(self) -> bool:
        return not self.problems


@database.snapshot
async def reconcile(now: datetime) -> Reconciliation:
    """Computes everything again from the entries, the orders and the refunds, as of one instant;
    writes nothing."""
    problems = [problem async for problem in _problems(now)]
    return Reconciliation(await LedgerTransfer.all().count(), problems)


async def _problems(now: datetime) -> AsyncIterator[str]:
    for sentence, sql in CHECKS.items():
        found = await database.rows(sql)
        for row in found[:SHOWN_PER_CHECK]:
            yield sentence.format(**row)
        if len(found) > SHOWN_PER_CHECK:
            yield f"… and {len(found) - SHOWN_PER_CHECK} more of this kind"
    for row in await database.rows(REFUNDED_COMMISSIONS):
        due = rewards.reversed_total(row["amount"], int(row["refunded"]), row["amount_minor"])
        if row["rejection_id"] is not None:
            due = row["amount"]  # nothing was left then, whatever is refunded
        if row["reversed"] != due:
            yield f"commission {row['id']}: {row['reversed']} is reversed, {due} should be"
    async for problem in _tier_problems(now):
        yield problem
    async for problem in recounting.problems():
        yield problem
    for letter in await outbox.dead():
        work = f"{letter.topic} {letter.subject_id}"
        yield f"{work}: given up after {letter.attempts} attempts: {letter.error}"


async def _tier_problems(now: datetime) -> AsyncIterator[str]:
    """Members who are not in the tier that the rules put them in; not those whose turn has yet to
    come, after other rules were published or by the time."""
    if await Job.filter(kind=reevaluating.TOPIC, ended_at__isnull=True).exists():
        return
    ladder = await tiers.current()
    not_due = f"review_at IS NULL OR review_at > '{now.isoformat(sep=' ')}'"
    scope = f"{{column}} IN (SELECT member_id FROM standing WHERE {not_due})"
    classes = reevaluating.Classes(ladder, now, scope)
    codes = dict(await Tier.all().values_list("id", "code"))
    for row in await database.rows(classes.each, *classes.values):
        before, after = classes.decided(row)
        if (before.tier, before.earned) != (after.tier, after.earned):
            stands, due = codes.get(before.tier, "no tier"), codes.get(after.tier, "no tier")
            yield f"member {row['member_id']}: is in {stands}, should be in {due}"
