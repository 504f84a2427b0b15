import * as wasm from '@cedar-policy/cedar-wasm/nodejs';

/** The one place that calls Cedar's WebAssembly module, so that one place knows whether it can still be trusted. */
let broken: Error | undefined;

/** False after a trap inside Cedar (see nesting.ts): all answers are failures from then on, and the process should be restarted. */
export const cedarUsable = (): boolean => broken === undefined;

function guarded<Arguments extends unknown[], Result>(call: (...args: Arguments) => Result): (...args: Arguments) => Result {
  return (...args) => {
    if (broken) throw new Error('Cedar is unusable after an earlier trap; restart the process', { cause: broken });
    try {
      return call(...args);
    } catch (cause) {
      // By name: the module may live in another realm, as in Jest.
      if ((cause as Error | null)?.name === 'RuntimeError') broken = cause as Error;
      throw cause;
    }
  };
}

export const cedar = {
  splitPolicies: guarded(wasm.policySetTextToParts),
  policyToJson: guarded(wasm.policyToJson),
  policyToText: guarded(wasm.policyToText),
  schemaToJson: guarded(wasm.schemaToJson),
  validate: guarded(wasm.validate),
  preparsePolicies: guarded(wasm.preparsePolicySet),
  preparseSchema: guarded(wasm.preparseSchema),
  authorize: guarded(wasm.statefulIsAuthorized),
};
