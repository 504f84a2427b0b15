import type { Token } from './token';

/** Labels of the keys that a ceremony creates, by token. `root` wraps; the others sign. */
export const tokenKeyLabels = {
  customer: { root: 'root', certifier: 'certifier' },
  control: { signing: 'control-signing', certifier: 'certifier' },
  ledger: { checkpoint: 'checkpoint', certifier: 'certifier' },
  detection: { certifier: 'certifier' },
} as const;

/** `customer`: the root that wraps KEKs, and the pair that certifies the batch keys of workers. Gives SPKIs for trust.json. */
export function createCustomerKeys(token: Token, { clonableRoot = false }: { clonableRoot?: boolean } = {}): { certifier: Buffer } {
  const { root, certifier } = tokenKeyLabels.customer;
  prepare(token, [root, certifier]);
  token.generateRootKey(root, { clonable: clonableRoot });
  return { certifier: token.generateTokenKeyPair(certifier, 'EC_P256') };
}

/** `control`: the pair that signs KV records, bundles and tokens, and the pair that certifies the batch keys of policy and key-lifecycle. */
export function createControlKeys(token: Token): { signing: Buffer; certifier: Buffer } {
  const { signing, certifier } = tokenKeyLabels.control;
  prepare(token, [signing, certifier]);
  return { signing: token.generateTokenKeyPair(signing, 'EC_P256'), certifier: token.generateTokenKeyPair(certifier, 'EC_P256') };
}

/** `ledger`: the Ed25519 pair that signs checkpoints, and the pair that certifies the batch keys of audit. */
export function createLedgerKeys(token: Token): { checkpoint: Buffer; certifier: Buffer } {
  const { checkpoint, certifier } = tokenKeyLabels.ledger;
  prepare(token, [checkpoint, certifier]);
  return { checkpoint: token.generateTokenKeyPair(checkpoint, 'ED25519'), certifier: token.generateTokenKeyPair(certifier, 'EC_P256') };
}

/** `detection`: the pair that certifies the batch keys of anomaly-detector. */
export function createDetectionKeys(token: Token): { certifier: Buffer } {
  const { certifier } = tokenKeyLabels.detection;
  prepare(token, [certifier]);
  return { certifier: token.generateTokenKeyPair(certifier, 'EC_P256') };
}

/** Before the first key is made, all of them must be known to be absent: a ceremony makes all or nothing where it can. */
function prepare(token: Token, labels: string[]): void {
  token.createCanary();
  for (const label of labels) token.assertAbsent(label);
}
