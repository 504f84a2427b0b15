import type { Action } from '@claviger/contracts';

/** Said of a bundle whose schema is from before these actions came. */
export const withoutActions = (missing: readonly Action[]): string =>
  `is from an earlier version: its schema does not know ${missing.join(', ')}, so nobody may do that. Publish one whose schema has them: claviger policy export, add them from deploy/policies/starter/schema.cedarschema, check, publish`;
