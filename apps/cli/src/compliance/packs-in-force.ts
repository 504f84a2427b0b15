import type { ComplianceReport } from '@claviger/contracts';

type Unread = ComplianceReport['unread'][number];

/** Of the packs that are here those that the bundle names, all where it names none of them; and those in force of which nothing can be said here. */
export function packsInForce<T extends { readonly pack: { readonly id: string } }>(
  all: readonly T[],
  ids: readonly string[],
): { meant: readonly T[]; unread: Unread[] } {
  const known = all.filter(({ pack }) => ids.includes(pack.id));
  const unread = ids
    .filter((id) => !known.some(({ pack }) => pack.id === id))
    .map((id) => ({ what: `${begin}${id}`, why: 'it is in force, and is not among those here: give --packs FOLDER' }));
  return { meant: known.length > 0 ? known : all, unread };
}

const begin = 'the pack ';

/** Packs in force that a report does not look at: each is unknown as a whole. */
export const packsUnread = ({ unread }: Pick<ComplianceReport, 'unread'>): number =>
  unread.filter(({ what }) => what.startsWith(begin)).length;
