import type { KeyDescription, LastUseOfKey, Propagation, Transition } from '@claviger/contracts';
import type { Output } from '../output';
import { rotationSummary } from './rotation-options';

export function stateOf(key: KeyDescription): string {
  if (key.deletionAt) return `deletion ${key.deletionAt}`;
  if (key.activationAt && !key.suspended) return `pre-activation until ${key.activationAt}`;
  if (key.suspended) return key.processingAllowed ? 'suspended (may process)' : 'suspended';
  const primary = key.versions.find(({ version }) => version === key.primaryVersion);
  return primary ? `${primary.state}${missingText(primary)}` : 'unknown';
}

/** Why nothing can be done with a version, whatever its state. */
const missingText = ({ missing }: KeyDescription['versions'][number]): string =>
  missing ? ` without material (${missing.why === 'awaits-import' ? 'waits for its import' : missing.why})` : '';

const summary = (key: KeyDescription) => ({
  key: key.keyId,
  name: key.name,
  algorithm: key.algorithm,
  usage: key.usage,
  state: stateOf(key),
  'primary version': key.primaryVersion,
  origin: key.origin === 'external' ? 'external' : undefined,
  exportable: key.exportable ? 'yes' : undefined,
  environment: key.environment,
  classification: key.classification,
  owner: key.owner,
  'created by': key.createdBy,
  team: key.team,
  contact: key.contact,
  description: key.description,
  consumers: key.consumers.join(', ') || 'none',
  tags:
    Object.entries(key.tags)
      .map(([name, value]) => `${name}=${value}`)
      .join(', ') || undefined,
  'deletion ordered by': key.deletionOrder && `${key.deletionOrder.by}: ${key.deletionOrder.reason}`,
  'protected against deletion': key.purgeProtected ? 'yes' : undefined,
  'opens data': key.data.map(({ name, by, until }) => `${name} (${by}${until ? `, until ${until}` : ''})`).join(', ') || undefined,
  residency: key.residency?.join(', '),
  certified: key.certified && `${key.certified.at} by ${key.certified.by}`,
  ...rotationSummary(key),
  revision: key.revision,
  versions: key.versions
    .map((described) => {
      const { version, state, transitions, recipientPeriodEndsAt, materialExpiresAt, token } = described;
      const { at, reason } = transitions.at(-1) as Transition;
      const expiry = materialExpiresAt === undefined ? '' : `; material until ${materialExpiresAt}`;
      return `${version} ${state}${missingText(described)}${token === undefined ? '' : ` in token ${token}`} (${at}: ${reason}${expiry}${recipientPeriodEndsAt ? `; to process until ${recipientPeriodEndsAt}` : ''})`;
    })
    .join(', '),
});

/** With when it was last used and what it is called, where that was asked for. */
export function describeKey(output: Output, key: KeyDescription, used?: { last?: LastUseOfKey; text: string }, aliases?: string[]): void {
  output.fields(
    { ...key, ...(used?.last ? { lastUse: used.last } : {}), ...(aliases ? { aliases } : {}) },
    { ...summary(key), aliases: aliases?.join(', ') || undefined, ...(used ? { 'last use': used.text } : {}) },
  );
}

/** A key after a command, and whether every worker has it so. */
export function tellChange(output: Output, outcome: Propagation): void {
  const { key, confirmed, workers, fenced } = outcome;
  const reached = confirmed
    ? `confirmed by ${workers.length} worker(s)${fenced.length > 0 ? `, ${fenced.length} fenced` : ''}`
    : 'durable, but not yet proven at every worker: repeat the command or look at `claviger status`';
  output.fields(outcome, { ...summary(key), reached });
}
