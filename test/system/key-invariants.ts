import { isDeepStrictEqual } from 'node:util';
import { type KeyState, type KeyView, keyStates } from '@claviger/contracts';
import type { KeyEstate, KeyEvent, StoredKey } from './key-estate';
import type { Acknowledged } from './key-traffic';
import type { LedgerRecord } from './ledger';

/**
 * What must be so whatever was killed and when, once nothing waits to be delivered: each line says what is not. No acknowledged change is lost, a key's
 * revisions have one event each and one account of who made them, the workers have what the store has, and states go by the table.
 */
export function differences(estate: KeyEstate, acknowledged: readonly Acknowledged[]): string[] {
  return [
    ...acknowledgedIsVisible(estate, acknowledged),
    ...eachRevisionHasOneEvent(estate),
    ...viewIsTheStore(estate),
    ...statesGoByTheTable(estate),
    ...eachChangeIsRecorded(estate, acknowledged),
    ...materialIsThereOnce(estate),
  ];
}

const nameOf = (keyId: string, revision: number) => `${keyId} revision ${revision}`;

function acknowledgedIsVisible({ events, documents }: KeyEstate, acknowledged: readonly Acknowledged[]): string[] {
  const told = new Map(events.map((event) => [nameOf(event.data.keyId, event.data.revision), event]));
  const stored = new Map(documents.map((document) => [document.keyId, document]));
  return acknowledged.flatMap(({ requestId, operation, key }) => {
    const name = nameOf(key.keyId, key.revision);
    const { change, ...data } = told.get(name)?.data ?? { change: undefined };
    const { revision = 0 } = stored.get(key.keyId) ?? {};
    return [
      ...(change?.requestId === requestId
        ? []
        : [`${operation} was acknowledged as ${name}, and the event of that revision is of ${change?.requestId}`]),
      ...(change === undefined || isDeepStrictEqual(data, key)
        ? []
        : [`${operation} was acknowledged as ${name} with another content than its event`]),
      ...(revision >= key.revision ? [] : [`${operation} was acknowledged as ${name}, and the store has revision ${revision}`]),
    ];
  });
}

function eachRevisionHasOneEvent({ documents, events, eventIds }: KeyEstate): string[] {
  const twice = eventIds.filter((id, n) => eventIds.indexOf(id) !== n).map((id) => `event ${id} is there twice`);
  const stored = new Set(documents.map(({ keyId }) => keyId));
  const strangers = [...byKey(events).keys()]
    .filter((keyId) => !stored.has(keyId))
    .map((keyId) => `events tell of ${keyId}, which is not in the store`);
  const ofKey = byKey(events);
  const wrong = documents.flatMap(({ keyId, revision }) => {
    const told = (ofKey.get(keyId) ?? []).map(({ data }) => data.revision).sort((a, b) => a - b);
    const wanted = Array.from({ length: revision }, (_, n) => n + 1);
    return isDeepStrictEqual(told, wanted) ? [] : [`${nameOf(keyId, revision)} has events of revisions ${told.join(' ')}`];
  });
  return [...twice, ...strangers, ...wrong];
}

function viewIsTheStore({ documents, view }: KeyEstate): string[] {
  const stored = new Set(documents.map(({ keyId }) => keyId));
  const strangers = [...view.values()]
    .filter(({ kind, id }) => kind === 'key' && !stored.has(id))
    .map(({ id }) => `${id} is in the bucket only`);
  const wrong = documents.flatMap((document) => {
    const shown = view.get(document.keyId) as KeyView | undefined;
    if (!shown) return [`${document.keyId} is in the store only`];
    return isDeepStrictEqual(sharedBy(document), sharedBy(shown))
      ? []
      : [`${document.keyId} is not the same in the bucket as in the store`];
  });
  return [...strangers, ...wrong];
}

const sharedBy = ({ revision, name, suspended, primaryVersion, deletionAt, versions }: StoredKey | KeyView) => ({
  ...{ revision, name, suspended, primaryVersion, deletionAt },
  versions: versions.map(({ version, state, material }) => ({ version, state, material })),
});

function statesGoByTheTable({ documents, events }: KeyEstate): string[] {
  const legal = (from: KeyState, to: KeyState) => from === to || keyStates[from].next.includes(to);
  const wrong = [...byKey(events)].flatMap(([keyId, changes]) => {
    const inOrder = changes.toSorted((a, b) => a.data.revision - b.data.revision).map(({ data }) => data);
    return inOrder.flatMap((after, n) =>
      after.versions.flatMap(({ version, state }) => {
        const before = inOrder[n - 1]?.versions.find((v) => v.version === version)?.state;
        return before === undefined || legal(before, state)
          ? []
          : [`${nameOf(keyId, after.revision)}: version ${version} went from ${before} to ${state}`];
      }),
    );
  });
  const newest = new Map(
    [...byKey(events)].map(([keyId, changes]) => [keyId, changes.find(({ data }) => data.revision === changes.length)?.data]),
  );
  const other = documents.filter(
    ({ keyId, versions }) =>
      !isDeepStrictEqual(
        newest.get(keyId)?.versions.map(({ state }) => state),
        versions.map(({ state }) => state),
      ),
  );
  return [...wrong, ...other.map(({ keyId }) => `${keyId} is in other states than its newest event says`)];
}

/**
 * Its operation's own record, or one that it was committed; both only where the process ended between the record and taking the promise out. Two processes
 * may find the same promise: then `committed` is there twice, under one id, and ids are what counts (ADR 15).
 */
function eachChangeIsRecorded({ events, ledger }: KeyEstate, acknowledged: readonly Acknowledged[]): string[] {
  const records = new Map<string, LedgerRecord[]>();
  const seen = new Set<string>();
  for (const record of ledger) {
    if (record.kind === 'committed' && seen.has(record.id)) continue;
    seen.add(record.id);
    const of = record.kind === 'operation' ? record.id : record.kind === 'committed' ? (record.record as string) : undefined;
    if (of !== undefined) records.set(of, [...(records.get(of) ?? []), record]);
  }
  const kinds = (id: string) => (records.get(id) ?? []).map(({ kind, outcome }) => (kind === 'operation' ? `operation ${outcome}` : kind));
  const byRequest = new Map<string, LedgerRecord[]>();
  for (const record of ledger.filter(({ kind }) => kind === 'operation')) {
    const { requestId } = record as { requestId?: string };
    if (requestId) byRequest.set(requestId, [...(byRequest.get(requestId) ?? []), record]);
  }
  const unrecorded = events.flatMap(({ data: { keyId, revision, change } }) => {
    const found = kinds(change.record);
    const once = new Set(found).size === found.length && found.length > 0;
    return once ? [] : [`${nameOf(keyId, revision)} (${change.action}) has the records: ${found.join(', ') || 'none'}`];
  });
  const unaccounted = acknowledged.flatMap(({ requestId, operation, key }) => {
    const outcomes = (byRequest.get(requestId) ?? []).map(({ outcome }) => outcome);
    return isDeepStrictEqual(outcomes, ['success'])
      ? []
      : [`${operation} of ${nameOf(key.keyId, key.revision)} was acknowledged, and recorded as ${outcomes.join(', ') || 'nothing'}`];
  });
  const told = new Set(events.map(({ data }) => data.change.record));
  const invented = [...records].filter(
    ([id, of]) =>
      !told.has(id) && of.some(({ kind, outcome, action }) => (kind === 'committed' || outcome === 'success') && isChange(action)),
  );
  return [...unrecorded, ...unaccounted, ...invented.map(([id]) => `record ${id} tells of a change that no event tells of`)];
}

/** Of these no key is another afterwards. */
const reads = ['keys:List', 'keys:Describe', 'keys:ListKeks', 'keys:DiscardMaterial'];
const isChange = (action: unknown) => typeof action === 'string' && action.startsWith('keys:') && !reads.includes(action);

function materialIsThereOnce({ documents, view }: KeyEstate): string[] {
  const held = documents.flatMap(({ keyId, versions }) =>
    versions.map(({ version, state, material }) => ({ of: `${keyId}#${version}`, state, material })),
  );
  const seen = new Map<string, string>();
  return held.flatMap(({ of, state, material }) => {
    if (state === 'destroyed') return material ? [`${of} is destroyed and has its material still`] : [];
    if (!material) return [`${of} is ${state} and has no material`];
    if (material.custody === 'wrapped' && !view.has(material.kekId))
      return [`${of} is wrapped under ${material.kekId}, which the workers do not have`];
    const what = material.custody === 'wrapped' ? material.wrapped : `${material.token} ${material.label}`;
    const other = seen.get(what);
    seen.set(what, of);
    return other ? [`${of} has the material of ${other}`] : [];
  });
}

function byKey(events: readonly KeyEvent[]): Map<string, KeyEvent[]> {
  const found = new Map<string, KeyEvent[]>();
  for (const event of events) found.set(event.data.keyId, [...(found.get(event.data.keyId) ?? []), event]);
  return found;
}
