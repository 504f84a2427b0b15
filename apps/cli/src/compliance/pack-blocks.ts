import type { KeyProfile, PackInForce, RegulationPack } from '@claviger/contracts';

/** What of a policy folder a pack is put into, and taken out of. */
export interface PolicyParts {
  /** Text of `policies.cedar`. */
  readonly policies: string;
  readonly profiles: readonly KeyProfile[];
  readonly packs: readonly PackInForce[];
}

// The lines are comments of Cedar, and part of the bundle: so a folder that was exported from what is in force has them as well.
const begin = (id: string, version: string) =>
  `// ── pack ${id} ${version}: begin ── (claviger policy packs add and remove write what is up to its end)`;
const end = (id: string) => `// ── pack ${id}: end ──`;

/** With the pack as it is now: one that is there already, in whatever version, is replaced. Twice is as once. */
export function withPack(
  parts: PolicyParts,
  pack: Pick<RegulationPack, 'id' | 'version' | 'profiles'>,
  policies: string,
  tag?: PackInForce['tag'],
): PolicyParts {
  const { policies: before, profiles, packs } = withoutPack(parts, pack);
  const { id, version } = pack;
  const block = `${begin(id, version)}\n${policies.trim()}\n${end(id)}\n`;
  return {
    policies: `${before.trimEnd()}\n\n${block}`,
    profiles: [...profiles, ...pack.profiles],
    packs: [...packs, { id, version, ...(tag ? { tag } : {}) }].sort((a, b) => (a.id < b.id ? -1 : 1)),
  };
}

/** The same parts where the pack is not there. @throws Error where somebody deleted the end of its block: what belongs to it cannot be told */
export function withoutPack(
  { policies, profiles, packs }: PolicyParts,
  { id, profiles: its }: Pick<RegulationPack, 'id' | 'profiles'>,
): PolicyParts {
  const lines = policies.split('\n');
  const from = lines.findIndex((line) => line.startsWith(`// ── pack ${id} `));
  const to = from === -1 ? -1 : lines.indexOf(end(id), from);
  if (from !== -1 && to === -1) throw new Error(`the block of the pack ${id} has no end: put the line "${end(id)}" where it ends`);
  const ids = new Set(its.map((profile) => profile.id));
  const rest = to === -1 ? lines : [...trimmedEnd(lines.slice(0, from)), ...lines.slice(to + 1)];
  return {
    policies: rest.join('\n'),
    profiles: profiles.filter((profile) => !ids.has(profile.id)),
    packs: packs.filter((pack) => pack.id !== id),
  };
}

/** Policies and profiles of a pack begin with its id. */
export const isOf = (packId: string, id: string): boolean => id.startsWith(`${packId}-`);

const trimmedEnd = (lines: readonly string[]): string[] => {
  const last = lines.findLastIndex((line) => line.trim() !== '');
  return lines.slice(0, last + 1);
};
