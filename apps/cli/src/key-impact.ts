import type { KeyDescription, KeyState, KeyUsage } from '@claviger/contracts';

/** What depends on the material of some keys. Counts are of versions that are not destroyed: nothing can be lost of the others. */
export interface Impact {
  keys: number;
  versions: number;
  byState: Partial<Record<KeyState, number>>;
  /** Who may use at least one of the keys, and how many each. The owner of a key is not one of them, though policy may let it. */
  consumers: Record<string, number>;
  /** Versions of whose use this would end, or be open to others. */
  ifLost: { unreadable: number; noMoreSignatures: number; unverifiable: number; noMoreSharedSecrets: number };
  ifCompromised: { readable: number; forgeable: number };
  /** Versions that are compromised now: what was protected under them must be protected anew. */
  compromised: CompromisedVersion[];
}

export interface CompromisedVersion {
  keyId: string;
  name: string;
  version: number;
  /** When it was marked. */
  at: string | undefined;
  /** Who protected something with it, and must do so again. */
  consumers: string[];
  mustDo: string;
  /** Whether a later version is there to do it with. */
  replacedBy: number | undefined;
}

type Effect = {
  lost: keyof Impact['ifLost'];
  compromised: keyof Impact['ifCompromised'];
  mustDo: string;
};

/** The one table of what a use of a key depends on it for. */
const effects: Readonly<Record<KeyUsage, Effect>> = {
  encrypt: { lost: 'unreadable', compromised: 'readable', mustDo: 're-encrypt what they encrypted or sealed with it' },
  wrap: { lost: 'unreadable', compromised: 'readable', mustDo: 'replace the keys that they wrapped with it, and what those protect' },
  encapsulate: { lost: 'unreadable', compromised: 'readable', mustDo: 're-encrypt what the encapsulated keys protect' },
  agree: { lost: 'noMoreSharedSecrets', compromised: 'readable', mustDo: 're-encrypt what the shared secrets protect' },
  // What was signed stays verifiable with the public half.
  sign: { lost: 'noMoreSignatures', compromised: 'forgeable', mustDo: 'sign anew and have the old public key distrusted' },
  mac: { lost: 'unverifiable', compromised: 'forgeable', mustDo: 'authenticate anew and accept no MAC of it any more' },
};

export const noImpact = (): Impact => ({
  keys: 0,
  versions: 0,
  byState: {},
  consumers: {},
  ifLost: { unreadable: 0, noMoreSignatures: 0, unverifiable: 0, noMoreSharedSecrets: 0 },
  ifCompromised: { readable: 0, forgeable: 0 },
  compromised: [],
});

/** Adds a key to `impact`, in place: there may be very many. `under`: only its versions that are wrapped under this KEK. */
export function addImpact(impact: Impact, key: KeyDescription, under?: string): void {
  const versions = key.versions.filter(({ state, kekId }) => state !== 'destroyed' && (under === undefined || kekId === under));
  if (versions.length === 0) return;
  const { lost, compromised, mustDo } = effects[key.usage];
  impact.keys += 1;
  impact.versions += versions.length;
  impact.ifLost[lost] += versions.length;
  impact.ifCompromised[compromised] += versions.length;
  for (const consumer of key.consumers) impact.consumers[consumer] = (impact.consumers[consumer] ?? 0) + 1;
  for (const { version, state, transitions } of versions) {
    impact.byState[state] = (impact.byState[state] ?? 0) + 1;
    if (state === 'compromised')
      impact.compromised.push({
        ...{ keyId: key.keyId, name: key.name, version, consumers: key.consumers, mustDo },
        at: transitions.findLast(({ to }) => to === 'compromised')?.at,
        replacedBy: key.versions.find((later) => later.version > version && later.state === 'active')?.version,
      });
  }
}
