import { type KekMaterial, ProblemError, type WrappingKeyState } from '@claviger/contracts';

/** A root key, which wraps KEKs and never leaves its token. Times are RFC 3339, UTC. */
export interface Root {
  label: string;
  /** The token that it is in; the first of the workers where nothing is said, as long as there was no other. */
  token?: string;
  revision: number;
  state: WrappingKeyState;
  /** Absent of that of the ceremony. */
  createdAt?: string;
  retiredAt?: string;
  destroyedAt?: string;
}

/** That of the ceremony; nothing is stored of it until there is a second one. */
export const firstRoot: Root = { label: 'root', revision: 1, state: 'active' };

/** `root` is the first, `root-2` the second. */
export const generationOfRoot = (label: string): number => (label === firstRoot.label ? 1 : Number(label.slice(label.indexOf('-') + 1)));
export const labelOfRoot = (generation: number): string => (generation === 1 ? firstRoot.label : `${firstRoot.label}-${generation}`);

/** What is stored, and that of the ceremony where it is not, the oldest first. */
export const allRoots = (stored: readonly Root[]): Root[] =>
  (stored.some(({ label }) => label === firstRoot.label) ? [...stored] : [firstRoot, ...stored]).sort(
    (a, b) => generationOfRoot(a.label) - generationOfRoot(b.label),
  );

/** The newest that is active; there always is one. */
export const currentRoot = (roots: readonly Root[]): Root => roots.findLast(({ state }) => state === 'active') ?? firstRoot;

/** Generations are never used twice. */
export const nextRootLabel = (roots: readonly Root[]): string =>
  labelOfRoot(1 + Math.max(...roots.map(({ label }) => generationOfRoot(label))));

export const newRoot = (label: string, now: string, token?: string): Root => ({
  ...{ label, revision: 1, state: 'active', createdAt: now },
  ...(token === undefined ? {} : { token }),
});

/** How workers find it. */
export const nameOf = ({ label, token }: Root): RootName => ({ rootLabel: label, ...(token === undefined ? {} : { token }) });
export type RootName = Pick<KekMaterial, 'rootLabel' | 'token'>;

/** From when workers may have another first token, it has to be said which one a root is in. */
export const placedRoot = (root: Root, token: string): Root =>
  root.token === undefined && root.state !== 'destroyed' ? { ...root, revision: root.revision + 1, token } : root;

export const retireRoot = (root: Root, now: string): Root =>
  root.state === 'active' ? { ...root, revision: root.revision + 1, state: 'retiring', retiredAt: now } : root;

/** Only one that is retiring. That no KEK is under it is for others to know. */
export function destroyRoot(root: Root, now: string): Root {
  if (root.state === 'destroyed') return root;
  if (root.state !== 'retiring')
    throw new ProblemError('ERR_KEY_STATE', `${root.label} is the root that new KEKs are wrapped under: rotate it first.`);
  return { ...root, revision: root.revision + 1, state: 'destroyed', destroyedAt: now };
}
