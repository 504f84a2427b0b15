import type { KeyFilter } from '@claviger/contracts';
import { compromiseKey, createKey, type Key, type NewKey, scheduleDeletion, suspendKey } from '../src/key';
import { about, made, newKey, now, nowMs } from './made-keys';

/** Keys of which some have each thing that can be asked for, and some have not. */
export function variedKeys(): Key[] {
  const key = (name: string, more: Partial<NewKey> = {}) => newKey({ name, ...more });
  const token = { custody: 'token' as const, family: 'softhsm', token: 'customer', label: `key-${'a'.repeat(24)}` };
  const older = createKey(about({ name: 'billing/older' }), made(), '2025-01-01T00:00:00.000Z');
  const elsewhere = { material: { ...made().material, kekId: 'kek_staging_internal_1' } };
  return [
    key('payments/cards', { owner: 'ada', team: 'payments', tags: { pci: 'yes', cost: '42' }, classification: 'restricted' }),
    key('payments/tokens', { tags: { pci: 'no' }, consumers: ['payments-api', 'orders-api'] }),
    key('pay', { usage: 'wrap', consumers: [] }),
    createKey(about({ name: 'sign/invoices', algorithm: 'ED25519', usage: 'sign', consumers: [] }), { material: token }, now),
    createKey(about({ name: 'staging/one', environment: 'staging', consumers: [] }), elsewhere, now),
    suspendKey(key('billing/frozen'), false, 's', now),
    scheduleDeletion(key('billing/goes'), 7, { by: 'ada', reason: 'd' }, nowMs),
    compromiseKey(key('billing/known'), undefined, 'c', now),
    older,
  ];
}

/** Each filter with what it says in other words. */
export const asked: [string, KeyFilter, (key: Key) => boolean][] = [
  ['state', { state: 'compromised' }, ({ versions }) => versions[0]?.state === 'compromised'],
  ['algorithm', { algorithm: 'ED25519' }, ({ algorithm }) => algorithm === 'ED25519'],
  ['usage', { usage: 'wrap' }, ({ usage }) => usage === 'wrap'],
  ['environment', { environment: 'staging' }, ({ environment }) => environment === 'staging'],
  ['classification', { classification: 'restricted' }, ({ classification }) => classification === 'restricted'],
  ['owner', { owner: 'ada' }, ({ owner }) => owner === 'ada'],
  ['team', { team: 'payments' }, ({ team }) => team === 'payments'],
  ['consumer', { consumer: 'orders-api' }, ({ consumers }) => consumers.includes('orders-api')],
  ['custody', { custody: 'token' }, ({ versions }) => versions[0]?.material?.custody === 'token'],
  ['KEK', { kek: 'kek_staging_internal_1' }, ({ environment }) => environment === 'staging'],
  ['tag', { tag: { name: 'pci' } }, ({ tags }) => 'pci' in tags],
  ['tag and value', { tag: { name: 'pci', value: 'yes' } }, ({ tags }) => tags.pci === 'yes'],
  ['beginning of the name', { namePrefix: 'pay' }, ({ name }) => name.startsWith('pay')],
  ['folder', { namePrefix: 'payments/' }, ({ name }) => name.startsWith('payments/')],
  ['being suspended', { suspended: true }, ({ suspended }) => suspended],
  ['not being suspended', { suspended: false }, ({ suspended }) => !suspended],
  ['waiting for deletion', { pendingDeletion: true }, ({ deletionAt }) => deletionAt !== undefined],
  ['not waiting for deletion', { pendingDeletion: false }, ({ deletionAt }) => deletionAt === undefined],
  ['being made before', { createdBefore: now }, ({ name }) => name === 'billing/older'],
  ['being made from then on', { createdFrom: now }, ({ name }) => name !== 'billing/older'],
];
