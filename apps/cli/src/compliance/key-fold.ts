import type { CheckResult, Failure, KeyDescription, RegulationPack, ScopeTag } from '@claviger/contracts';
import { asksOf } from './asks';
import { isDestroyed, type KeyCheck, type KnownOfKeys, lackOf, problemsOf } from './key-checks';
import type { KeysSeen, Observed } from './observed';

export type Scope = RegulationPack['scope'] & { readonly tag?: ScopeTag };

export function inScope({ environments, classifications, tag }: Scope, key: KeyDescription): boolean {
  return (
    (environments?.includes(key.environment) ?? true) &&
    (classifications?.includes(key.classification) ?? true) &&
    (tag === undefined || (Object.hasOwn(key.tags, tag.name) && (tag.value === undefined || key.tags[tag.name] === tag.value)))
  );
}

/** Failures that a result holds at most; all of them are counted. */
export const failuresMost = 1_000;

/** Within the bounds of a report, so that it can be read again, whatever names somebody gave. */
export const clipped = (failure: Failure): Failure =>
  Object.fromEntries(
    Object.entries(failure).map(([name, text]) => [name, text.slice(0, name === 'why' || name === 'next' ? 4_000 : 256)]),
  ) as Failure;

/** Whether a check is about such a key at all. */
const isMeant = (check: KeyCheck, key: KeyDescription): boolean =>
  check.check !== 'key-cnsa2' ||
  ((check.usages?.includes(key.usage) ?? true) && inScope(check.tag === undefined ? {} : { tag: check.tag }, key));

/** One check over all keys, a key at a time: any number of keys takes little memory. */
export interface KeyFold {
  add(key: KeyDescription): void;
  result(keys: KeysSeen): CheckResult;
}

export function keyFold(check: KeyCheck, scope: Scope, observed: Observed, known: KnownOfKeys): KeyFold {
  const failures: Failure[] = [];
  let looked = 0;
  let failed = 0;
  const fail = (failure: Failure) => {
    failed += 1;
    if (failures.length < failuresMost) failures.push(clipped(failure));
  };
  const apart = check.check === 'key-environments-apart' ? environmentsApart() : undefined;
  const lack = lackOf(check, observed);
  return {
    add: (key) => {
      if (isDestroyed(key)) return;
      // Whoever uses keys of production: with which others, is asked of all keys.
      apart?.add(key, inScope(scope, key));
      if (!inScope(scope, key) || !isMeant(check, key)) return;
      looked += 1;
      if (lack !== undefined) return;
      for (const { why, next } of problemsOf(key, check, known))
        fail({ object: key.keyId, name: key.name, owner: key.team ? `${key.owner} (${key.team})` : key.owner, why, next });
    },
    result: (keys) => {
      for (const failure of apart?.failures() ?? []) fail(failure);
      const missing = lack ?? (keys.complete ? undefined : `all keys: ${keys.why}`);
      const outcome = failed > 0 ? 'fail' : missing === undefined ? 'pass' : 'unknown';
      return {
        ...{
          check: check.check,
          asks: asksOf(check),
          outcome,
          lookedAt: `${looked} ${looked === 1 ? 'key' : 'keys'}${looked === 0 ? ': there is none that it means' : ''}`,
        },
        ...(missing === undefined ? {} : { why: `could not be read: ${missing}` }),
        ...{ failed, failures },
      };
    },
  };
}

/** Principals that use keys in scope of production, and keys of another environment. */
function environmentsApart() {
  const uses = new Map<string, { production?: string; other?: string }>();
  return {
    add: ({ consumers, environment, name }: KeyDescription, meant: boolean) => {
      for (const consumer of consumers) {
        const known = uses.get(consumer) ?? {};
        if (environment !== 'production') known.other ??= `${name} (${environment})`;
        else if (meant) known.production ??= name;
        uses.set(consumer, known);
      }
    },
    failures: (): Failure[] =>
      [...uses].flatMap(([object, { production, other }]) =>
        production !== undefined && other !== undefined
          ? [
              {
                object,
                why: `uses ${production} of production, and ${other}`,
                next: 'claviger keys set-consumers KEY --consumer … --reason …: a principal of its own for each environment',
              },
            ]
          : [],
      ),
  };
}
