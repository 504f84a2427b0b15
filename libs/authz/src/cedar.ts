import { createRequire } from 'node:module';

type Cedar = typeof import('@cedar-policy/cedar-wasm/nodejs');

/** Loaded with the first call: it is 5 MB of WebAssembly, which the command line mostly does without. */
let loaded: Cedar | undefined;
const wasm = (): Cedar => {
  loaded ??= createRequire(import.meta.url)('@cedar-policy/cedar-wasm/nodejs') as Cedar;
  return loaded;
};

/** The one place that calls Cedar's WebAssembly module, so that one place knows whether it can still be trusted. */
let broken: Error | undefined;

/** False after a trap inside Cedar (see nesting.ts): all answers are failures from then on, and the process should be restarted. */
export const cedarUsable = (): boolean => broken === undefined;

type Calls = { [Name in keyof Cedar as Cedar[Name] extends (...args: never[]) => unknown ? Name : never]: Cedar[Name] };

function guarded<Name extends keyof Calls>(name: Name): Calls[Name] {
  const call = (...args: never[]): unknown => {
    if (broken) throw new Error('Cedar is unusable after an earlier trap; restart the process', { cause: broken });
    try {
      return (wasm()[name] as (...args: never[]) => unknown)(...args);
    } catch (cause) {
      // By name: the module may live in another realm, as in Jest.
      if ((cause as Error | null)?.name === 'RuntimeError') broken = cause as Error;
      throw cause;
    }
  };
  return call as Calls[Name];
}

export const cedar = {
  splitPolicies: guarded('policySetTextToParts'),
  policyToJson: guarded('policyToJson'),
  policyToText: guarded('policyToText'),
  schemaToJson: guarded('schemaToJson'),
  validate: guarded('validate'),
  preparsePolicies: guarded('preparsePolicySet'),
  preparseSchema: guarded('preparseSchema'),
  authorize: guarded('statefulIsAuthorized'),
};
