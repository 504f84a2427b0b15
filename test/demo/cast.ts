import type { StackPrincipal } from '../../deploy/local/stack';

/** Who takes part. */
export const cast = {
  kim: { id: 'kim', kind: 'person', roles: ['key-administrator'], displayName: 'Kim, key administrator', mfa: true },
  payments: { id: 'payments-api', kind: 'service', roles: ['application'], displayName: 'payments-api, an application' },
  orders: { id: 'orders-api', kind: 'service', roles: ['application'], displayName: 'orders-api, another application' },
  sam: { id: 'sam', kind: 'person', roles: ['security-officer'], displayName: 'Sam, security officer', mfa: true },
  ada: { id: 'ada', kind: 'person', roles: ['auditor'], displayName: 'Ada, auditor' },
  owen: { id: 'owen', kind: 'person', roles: ['application-owner'], displayName: 'Owen, owner of applications' },
  olga: { id: 'olga', kind: 'person', roles: ['operator'], displayName: 'Olga, operator' },
} as const satisfies Record<string, StackPrincipal & { displayName: string }>;
