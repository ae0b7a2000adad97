"""Owns what each word of the API's enums means, and the descriptions of its pages and roots."""

from collections.abc import Mapping

from graphql import GraphQLEnumType, GraphQLSchema

MEANINGS: Mapping[str, Mapping[str, str]] = {
    "AccessReason": {
        "GRANTED": "The body may be read.",
        "SIGN_IN_REQUIRED": "Somebody has to be signed in.",
        "TIER_REQUIRED": "A tier of at least this rank is needed.",
        "AUDIENCE_EXCLUDED": "It was written for other readers.",
    },
    "Account": {
        "PENDING": "Earned, and waiting for the end of its hold.",
        "AVAILABLE": "Free to be paid out.",
        "HELD": "Kept back while somebody looks into it.",
        "PAID": "Paid out, or on its way to the bank.",
    },
    "ApplicationStatus": {
        "PENDING": "Nobody has decided yet.",
        "APPROVED": "Staff let the member in.",
        "REJECTED": "Staff said no; the member may ask again.",
    },
    "Asset": {
        "CASH": "Money, in minor units of the program's currency.",
        "POINTS": "Points of the brand, which no pay-out turns into money.",
    },
    "AttributionModel": {
        "LAST_TOUCH": "All of it to the last touch.",
        "FIRST_TOUCH": "All of it to the first touch.",
        "LINEAR": "Equal shares to all touches.",
        "POSITION_BASED": "40 % each to the first and the last, the middle shares the rest.",
        "TIME_DECAY": "A touch weighs half as much for every 7 days before the conversion.",
    },
    "Audience": {
        "EVERYONE": "Whoever comes, signed in or not.",
        "BUYERS": "Members whose orders minus refunds are above zero.",
        "NON_BUYERS": "Members of whom that is not true yet.",
        "STAFF": "Everybody with a role besides MEMBER and KOC; invisible to others.",
    },
    "BindingMode": {
        "NONE": "Customers are bound to nobody; touches decide every time.",
        "ON_REGISTRATION": "Whoever brought the registration keeps the customer.",
        "ON_FIRST_ORDER": "Whoever brought the first order keeps the customer.",
    },
    "Bucket": {"HOUR": "60 minutes, from the full hour."},
    "CommissionStatus": {
        "PENDING": "Earned, and waiting for the end of its hold.",
        "AVAILABLE": "Free to be paid out.",
        "PAID": "Part of a pay-out.",
        "REVERSED": "Taken back as a whole, since its order was refunded.",
        "HELD": "Kept back while somebody looks into it.",
    },
    "ContentKind": {
        "ARTICLE": "A text to read.",
        "POSTER": "A picture to show around.",
        "VIDEO": "Something to watch.",
        "CASE": "What somebody's problem was, and how it was solved.",
        "BROCHURE": "A document to hand out.",
    },
    "ContentOrderField": {
        "PUBLISHED_AT": "When it was published first.",
        "UPDATED_AT": "When it was changed last.",
        "TITLE": "Its title, by code points.",
        "RELEVANCE": "How well it fits the search, titles first; only with one.",
    },
    "ContentStatus": {
        "DRAFT": "Being written.",
        "IN_REVIEW": "Submitted, and waiting for a reviewer.",
        "SCHEDULED": "To be published at its time.",
        "PUBLISHED": "Out for its readers.",
        "ARCHIVED": "Taken back; its links lead on to nothing.",
    },
    "ConversionStatus": {
        "PENDING": "A worker decides about it in a moment.",
        "PARKED": "It waits for its customer or its order to become known.",
        "CREDITED": "Somebody was credited for it.",
        "NOT_CREDITED": "Nobody was; `explanation` says why.",
        "REVERSED": "All of it was refunded after it had been credited.",
    },
    "ConversionType": {
        "REGISTRATION": "Somebody joined.",
        "ORDER": "Somebody bought.",
        "FEE": "Somebody paid for a membership.",
        "PROMOTION": "Somebody became a promoter of the program.",
        "REFUND": "An order, or a part of one, was paid back.",
    },
    "Dimension": {
        "PRODUCT": "What it is worth and does, what it is like to use, what sets it apart.",
        "COMPANY": "Values, culture, founder, news, honours.",
        "INDUSTRY": "Its state, its changes, and what is done to change it.",
        "USER": "Wishes, complaints, and how they are solved.",
    },
    "DowngradePolicy": {
        "NEVER": "A tier once reached is kept.",
        "AT_EXPIRY": "The rule is asked again when validity and grace are over.",
        "IMMEDIATE": "The tier goes as soon as its rule no longer holds.",
    },
    "EntryKind": {
        "ACCRUE": "A commission was earned: into pending.",
        "RELEASE": "Its hold is over: from pending to available.",
        "HOLD": "Somebody looks into it: into held.",
        "UNHOLD": "Nothing was found: back to where it was.",
        "REVERSE": "Its order was refunded: taken from where it lies.",
        "PAYOUT": "A pay-out claimed it: from available to paid.",
        "PAYOUT_FAILED": "The bank gave it back: from paid to available.",
        "ADJUST": "Finance corrected it by hand.",
    },
    "ErrorCode": {
        "INVALID": "A value outside its range, or of the wrong form.",
        "REQUIRED": "A value that has to be there and is empty.",
        "TOO_LONG": "A text or a list above its limit.",
        "NOT_FOUND": "Nothing of this name or id is there for the viewer.",
        "NOT_UNIQUE": "Something else has this name already.",
        "FORBIDDEN": "The viewer may not do this to this object.",
        "STALE_VERSION": "Somebody saved a newer version meanwhile.",
        "INVALID_TRANSITION": "Not from the state in which it is.",
        "IDEMPOTENCY_CONFLICT": "The same key came before, with other figures.",
        "EXCEEDS_ORDER": "More than what is left of the order.",
        "CODE_UNKNOWN": "No link has this code.",
        "LINK_ARCHIVED": "The link was archived before.",
        "PROGRAM_CLOSED": "The program has ended, or has not begun.",
        "NOT_ENROLLED": "Whoever it is about is no promoter of the program.",
        "THRESHOLD_NOT_MET": "The tier's rule does not hold for the member.",
        "INSUFFICIENT_BALANCE": "It would take more than there is.",
        "LIMIT_EXCEEDED": "More things at once than are taken.",
        "CREDENTIALS_REJECTED": "What was sent to sign in with is wrong.",
    },
    "JobStatus": {
        "QUEUED": "No worker has begun yet.",
        "RUNNING": "A worker is at it.",
        "DONE": "All of it is done.",
        "FAILED": "It ended before it was done; `problems` says why.",
    },
    "OrderDirection": {"ASC": "The smallest first.", "DESC": "The largest first."},
    "PayoutStatus": {
        "PROCESSING": "Claimed, and the bank is to be told.",
        "SENT": "The bank has paid it.",
        "FAILED": "The bank has not; its amount is available again.",
    },
    "RiskStatus": {
        "OPEN": "Nobody has decided yet; what the case is about is held.",
        "RELEASED": "Nothing is wrong: what was held goes on its way.",
        "REJECTED": "What was held is taken back for good.",
    },
    "Role": {
        "MEMBER": "Everybody who has an account.",
        "KOC": "A loyal customer who promotes.",
        "EMPLOYEE": "Somebody of the brand who shares links and reads all that is published.",
        "EDITOR": "Writes the library.",
        "REVIEWER": "Publishes and archives it; implies EDITOR.",
        "OPERATOR": "Looks after members and promoters.",
        "FINANCE": "Pays out, and sees the books.",
        "ADMIN": "Sets everything up; implies every role but SERVICE.",
        "SERVICE": "A shop's program, which tells of orders.",
    },
    "TierChangeReason": {
        "QUALIFIED": "A rule holds now.",
        "GRANTED": "Staff gave the tier.",
        "APPROVED": "Staff approved an application.",
        "EXPIRED": "What qualified for it is over.",
        "REFUNDED": "A refund took away what qualified for it.",
        "RULES_CHANGED": "New rules were published.",
        "REVOKED": "Staff took the tier back.",
    },
    "TierMetric": {
        "SPEND": "Orders minus refunds, in minor units.",
        "FEE": "Membership fees paid, in minor units.",
        "INVITED_REGISTERED": "People brought along who registered.",
        "INVITED_BOUGHT": "Those of them whose orders minus refunds are above zero.",
        "INVITED_PROMOTED": "Those of them who became promoters.",
        "POINTS_EARNED": "Points earned, also those spent since.",
    },
    "Verdict": {
        "BOT": "It was no person.",
        "LINK_INACTIVE": "The link was archived or had expired.",
        "PROGRAM_CLOSED": "The program did not run.",
        "PROMOTER_INACTIVE": "The promoter was suspended, or not enrolled.",
        "SELF_REFERRAL": "The promoter was the customer.",
        "OWN_DOWNLINE": "The customer had brought the promoter.",
        "OUTSIDE_WINDOW": "Too long before the conversion, or after it.",
        "NOT_NEW_CUSTOMER": "The program is for new customers, and this was none.",
        "BOUND_TO_OTHER": "The customer was bound to another promoter.",
        "OTHER_PROGRAM": "Another program of the same group decided.",
        "SUPERSEDED": "Others counted by the program's model.",
        "NO_RULE": "It counts, but the program pays nothing for it.",
        "CREDITED": "It counts.",
    },
    "Window": {
        "LIFETIME": "All the time.",
        "CALENDAR_YEAR": "This year, in the installation's time zone.",
        "LAST_DAYS": "So many times 24 hours up to now.",
    },
}
ROOTS = {
    "Query": "What can be read. Every field says by `@access` who may.",
    "Mutation": "What can be changed. A caller's mistakes are in `errors`, beside null.",
}
PAGES = {
    "Connection": "One page of a list of {}, and how to get the next one.",
    "Edge": "One {} of a page, and where it stands.",
}
ACCESS = {
    "who": "Who may.",
    "roles": "Any one of them. ADMIN implies every other but SERVICE, REVIEWER implies EDITOR.",
}


def explain(schema: GraphQLSchema) -> None:
    """Gives the schema those descriptions that its types do not have themselves."""
    for name, meanings in MEANINGS.items():
        kind = schema.type_map[name]
        assert isinstance(kind, GraphQLEnumType)  # noqa: S101 - a fault of this table
        for word, value in kind.values.items():
            value.description = value.description or meanings.get(word)
    for name, text in ROOTS.items():
        schema.type_map[name].description = text
    for name, kind in schema.type_map.items():
        for ending, text in PAGES.items():
            if name.endswith(ending) and not kind.description:
                kind.description = text.format(name.removesuffix(ending))
    for directive in schema.directives:
        if directive.name == "access":
            for name, argument in directive.args.items():
                argument.description = ACCESS[name]
