import type { ReportedToken, SeenToken } from '@claviger/contracts';
import { type Token, tokenFacts } from '@claviger/hsm';
import type { Tokens } from './tokens';

/** What this worker sees of its tokens. A token is asked what it is once for all its sessions: new firmware ends them. */
export class SeenTokens {
  private readonly said = new WeakMap<Token, { generation: number; reported: ReportedToken }>();

  constructor(
    private readonly tokens: Pick<Tokens, 'listed'>,
    /** Labels of those that have the roots. */
    private readonly roots: () => ReadonlySet<string>,
    /** Whether the first one fails just now, so that nothing is asked of it. */
    private readonly firstFails: () => boolean,
  ) {}

  all(): SeenToken[] {
    const roots = this.roots();
    return this.tokens.listed().map(({ label, region, token }, n) => {
      const root = roots.has(label);
      const asked = n === 0 && this.firstFails() ? undefined : token;
      const reported = asked && this.reported(asked);
      return { label, root, ...(region ? { region } : {}), reached: reported !== undefined, ...(reported ? { reported } : {}) };
    });
  }

  private reported(token: Token): ReportedToken | undefined {
    const before = this.said.get(token);
    if (before?.generation === token.generation) return before.reported;
    try {
      const { manufacturer, model, firmware, serialNumber, family } = tokenFacts(token);
      const reported = { manufacturer, model, firmware, serialNumber, family };
      this.said.set(token, { generation: token.generation, reported });
      return reported;
    } catch {
      // Its probes say what is wrong.
      return undefined;
    }
  }
}
