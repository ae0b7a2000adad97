// Owns what does not keep a rule, and why. Nothing else may break one; an exception that is needed no
// longer fails the check too.
export const EXCEPTIONS = [
  {
    rule: 'strict-id-in-types',
    why: 'a part of the object that has it, without a life of its own; clients keep it there',
    at: [
      ...['Attribution', 'Balance', 'ContentAccess', 'Highlight', 'Invitee', 'MediaVariant'],
      ...['MemberMetrics', 'Payee', 'RewardRule', 'TierAlternative', 'TierProgress'],
      ...['TierRequirement', 'TouchVerdict'],
    ],
  },
  {
    rule: 'strict-id-in-types',
    why: 'computed for this answer, by the arguments of its field',
    at: [
      ...['FunnelRow', 'LeaderboardRow', 'LedgerSummaryRow', 'LinkStats', 'PayoutPreview'],
      ...['Reconciliation', 'StatsPoint', 'TagFacet', 'TierMove', 'TierPreview'],
    ],
  },
  {
    rule: 'strict-id-in-types',
    why: 'a line of a history, which never changes and which nobody asks for again',
    at: ['AuditEntry', 'ContentVersion', 'TierChange'],
  },
  {
    rule: 'strict-id-in-types',
    why: 'a value of the conventions that are followed here, which give it no id',
    at: ['PageInfo', 'UserError'],
  },
  {
    rule: 'relay-edge-types',
    why: 'a row that is read in its list alone, so that `node` does not find it',
    at: [
      ...['AuditEntryEdge', 'ContentVersionEdge', 'InviteeEdge'],
      ...['LedgerEntryEdge', 'TierChangeEdge'],
    ],
  },
  {
    rule: 'no-scalar-result-type-on-mutation',
    why: 'there is nothing to say of a session that is over, and nothing to correct',
    at: ['Mutation.signOut'],
  },
  {
    rule: 'require-description',
    why: 'of the GraphQL specification, which describes it',
    at: ['oneOf'],
  },
];
