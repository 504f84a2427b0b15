/**
 * A policy bundle as people keep it: Cedar and JSON files in a folder, each part in a file of its name. Those that may be missing: `empty` without the
 * file, or left out of the bundle.
 */
export const policyFolder = {
  policies: 'policies.cedar',
  schema: 'schema.cedarschema',
  roles: 'roles.json',
  empty: { principals: 'principals.json', grants: 'grants.json' },
  optional: {
    groups: 'groups.json',
    conflicts: 'conflicts.json',
    staleness: 'staleness.json',
    profiles: 'profiles.json',
    tokens: 'tokens.json',
    packs: 'packs.json',
    quotas: 'quotas.json',
  },
} as const;
