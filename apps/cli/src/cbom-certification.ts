import { tokensOf } from '@claviger/authz';
import type { KeyDescription, TokenDescription } from '@claviger/contracts';

/** Values of `certificationLevel` in CycloneDX 1.6 (ECMA-424), of the tokens that use an algorithm for keys. */
export class Certifications {
  /** Labels by algorithm. */
  private readonly used = new Map<string, Set<string>>();
  private readonly roots: readonly string[];

  /** Nothing is said of any where none has a record, or the caller may not list them. */
  constructor(private readonly tokens: readonly TokenDescription[]) {
    this.roots = tokens.flatMap(({ root, label }) => (root ? [label] : []));
  }

  add(algorithm: string, versions: KeyDescription['versions']): void {
    const labels = this.used.get(algorithm) ?? new Set();
    for (const label of tokensOf(versions, this.roots)) labels.add(label);
    this.used.set(algorithm, labels);
  }

  of(algorithm: string): { certificationLevel?: string[] } {
    if (this.tokens.every(({ record }) => record === undefined)) return {};
    const labels = [...(this.used.get(algorithm) ?? [])];
    const levels = labels.map((label) => levelOf(this.tokens.find((one) => one.label === label)));
    return levels.length === 0 ? {} : { certificationLevel: [...new Set(levels)].sort() };
  }
}

/** What has ended is none. */
function levelOf(token: TokenDescription | undefined): string {
  const said = token?.record?.validation;
  if (!token || !said) return 'unknown';
  if (said.standard === 'none' || token.validation.state !== 'active') return 'none';
  return said.standard === 'Common Criteria'
    ? `cc-${said.evaluation.toLowerCase()}`
    : `${said.standard.toLowerCase().replace(' ', '')}-l${said.level}`;
}
