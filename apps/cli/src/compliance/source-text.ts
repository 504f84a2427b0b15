import type { PackReport } from '@claviger/contracts';

/** A source of a pack, with when the pack was held against it and against which text of it: a quotation is not the original. */
export const sourceText = ({ title, edition, url, checked }: PackReport['sources'][number]): string =>
  `${title}, ${edition}: ${url}${checked ? ` (checked ${checked.at} against ${checked.against})` : ''}`;
