"""People, sign-in, roles, tiers, metrics, and the ledger of what they are owed."""
