/** SPIFFE-ID §2.1: lower-case letters, digits, dots, dashes and underscores, at most 255. */
export const trustDomainPattern = /^[a-z0-9._-]{1,255}$/;
const idPattern = /^spiffe:\/\/([a-z0-9._-]{1,255})((?:\/[A-Za-z0-9._-]+)+)$/;
const longest = 2_048;

export interface SpiffeId {
  readonly id: string;
  readonly trustDomain: string;
}

/** A workload's SPIFFE id (SPIFFE-ID §2): a path of segments, none of them empty, `.` or `..`. Undefined for anything else. */
export function spiffeIdIn(text: string): SpiffeId | undefined {
  if (text.length > longest) return undefined;
  const [, trustDomain, path] = idPattern.exec(text) ?? [];
  if (trustDomain === undefined || path === undefined) return undefined;
  if (path.split('/').some((segment) => segment === '.' || segment === '..')) return undefined;
  return { id: text, trustDomain };
}
