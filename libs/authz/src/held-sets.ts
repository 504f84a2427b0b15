import { cedar } from './cedar';
import type { Part } from './policy-parts';

/**
 * Parts of policy sets in Cedar's memory, by their content: what two bundles have in common is parsed once. Cedar has no way to forget one; the name of a part
 * that no bundle needs any more goes to the next.
 */
export class HeldSets {
  readonly #names = new Map<string, string>();
  readonly #free: string[] = [];
  #made = 0;

  constructor(private readonly prefix: string) {}

  isHeld({ content }: Part): boolean {
    return this.#names.has(content);
  }

  /** The name under which Cedar has it from now on. @throws when Cedar refuses it, or is unusable */
  hold({ content, policies }: Part): string {
    const held = this.#names.get(content);
    if (held !== undefined) return held;
    const name = this.#free.pop() ?? `${this.prefix} ${this.#made++}`;
    const answer = cedar.preparsePolicies(name, { staticPolicies: Object.fromEntries(policies.map(({ id, text }) => [id, text])) });
    if (answer.type === 'failure') {
      this.#free.push(name);
      throw new Error(answer.errors.map(({ message }) => message).join('; '));
    }
    this.#names.set(content, name);
    return name;
  }

  /** Others than these are not needed any more. */
  keep(needed: ReadonlySet<string>): void {
    for (const [content, name] of this.#names) {
      if (needed.has(content)) continue;
      this.#names.delete(content);
      this.#free.push(name);
    }
  }
}
