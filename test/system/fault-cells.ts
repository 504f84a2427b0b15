import { until } from '@claviger/testing';
import type { FaultToken } from '../fault-token/fault-token';
import type { FunctionName } from '../fault-token/function-names';

/** What goes wrong in the token. `begin` resolves once it does, `end` takes it back. */
export interface Fault {
  begin(token: FaultToken, functions: readonly [FunctionName, FunctionName]): void | Promise<void>;
  end(token: FaultToken): void;
  /** Whether requests are answered while it lasts; a call that hangs holds up all of them. */
  answers: boolean;
}

const returnValues = {
  CKR_DEVICE_ERROR: 0x30,
  CKR_DEVICE_REMOVED: 0x32,
  CKR_SESSION_HANDLE_INVALID: 0xb3,
  CKR_KEY_HANDLE_INVALID: 0x60,
  CKR_HOST_MEMORY: 0x2,
  CKR_FUNCTION_FAILED: 0x6,
  CKR_GENERAL_ERROR: 0x5,
} as const;

/** Until it is taken back; `once` in two calls of each function only. */
const returning = (code: number): Fault => ({
  begin: (token, functions) => {
    for (const name of functions) token.fail(name, code);
  },
  end: (token) => token.clear(),
  answers: true,
});
const returningOnce = (code: number): Fault => ({
  begin: async (token, functions) => {
    const before = functions.map((name) => token.failed(name));
    for (const name of functions) token.fail(name, code, { times: 2 });
    await until(() => functions.every((name, n) => token.failed(name) === (before[n] as number) + 2), {
      what: `${functions.join(' and ')} to fail`,
      timeoutMs: 30_000,
    });
  },
  end: () => undefined,
  answers: true,
});

const slow: Fault = {
  begin: (token, functions) => {
    for (const name of functions) token.latency(name, 50_000);
  },
  end: (token) => token.clear(),
  answers: true,
};

/** 3 s is longer than a view stays proven without news. */
const hanging: Fault = {
  begin: async (token, [, name]) => {
    token.hang(name, { times: 1 });
    await until(() => token.waiting(name) === 1, { what: `${name} to hang` });
    await new Promise((resolve) => setTimeout(resolve, 3_000));
  },
  end: (token) => token.release(),
  answers: false,
};

const removed: Fault = { begin: (token) => token.vanish('removed'), end: (token) => token.comeBack(), answers: true };
const silent: Fault = { begin: (token) => token.vanish('silent'), end: (token) => token.comeBack(), answers: true };
/** Only the sessions tell. */
const swapped: Fault = {
  begin: (token) => {
    token.vanish('removed');
    token.comeBack();
  },
  end: () => undefined,
  answers: true,
};

export const faults: Readonly<Record<string, Fault>> = {
  ...Object.fromEntries(
    Object.entries(returnValues).flatMap(([name, code]) => [
      [name, returning(code)],
      [`${name} twice`, returningOnce(code)],
    ]),
  ),
  'a latency of 50 ms': slow,
  'a hang of 3 s': hanging,
  'token removed': removed,
  'token removed and put back': swapped,
  'token without its storage': silent,
};
