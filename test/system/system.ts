import { ClavigerError, type Client, type ConnectOptions, connect } from '@claviger/client';
import { openTestStore, type TemporaryFolder, type TestStore, temporaryFolder } from '@claviger/testing';
import { type RunningService, type Stack, type StackOptions, startStack } from '../../deploy/local/stack';
import { cast } from '../demo/cast';
import { type RawCaller, rawCaller } from './raw-caller';

export type Who = keyof typeof cast;

/** The whole system for one spec file, and callers in it. */
export interface System {
  stack: Stack;
  /** The first of this kind. */
  service(name: RunningService['name']): RunningService;
  tokens: Record<string, string>;
  /** A client of the library. */
  as(who: Who, options?: Partial<ConnectOptions>): Promise<Client>;
  /** A bare connection with the caller's own token, for what the library would not send. */
  raw(who: Who, token?: string): Promise<RawCaller>;
  /** A token of an authentication of its own, for a test that revokes it. */
  login(who: Who): Promise<string>;
  stop(): Promise<void>;
}

export interface SystemOptions extends Partial<Pick<StackOptions, 'workers' | 'dir' | 'brokerUrl' | 'storeUrl' | 'serviceEnv'>> {
  /** A document store of its own, that the test may kill; else the run's shared one. */
  ownStore?: boolean;
}

export async function startSystem(name: string, { ownStore = false, dir, ...options }: SystemOptions = {}): Promise<System> {
  const folder = dir ? undefined : await temporaryFolder(name);
  const store: TestStore | undefined = ownStore || options.storeUrl ? undefined : await openTestStore();
  const stack = await startStack({
    dir: dir ?? (folder as TemporaryFolder).path,
    principals: Object.values(cast),
    ...(store ? { storeUrl: store.url, databasePrefix: store.databaseName('') } : {}),
    ...options,
  });
  const tokens = await stack.tokens(Object.values(cast));
  const opened: { close(): Promise<void> }[] = [];
  const kept = <T extends { close(): Promise<void> }>(one: T): T => {
    opened.push(one);
    return one;
  };
  const tokenOf = (who: Who) => tokens[cast[who].id] as string;
  const login = async (who: Who) => (await stack.tokens([cast[who]]))[cast[who].id] as string;
  const issuedAt = performance.now();
  /** A long test outlasts its first tokens, or sees a service away for as long as one lasts: then who connects logs in anew. */
  const tokensOf = (who: Who) => {
    let asked = 0;
    return () => (asked++ === 0 && performance.now() - issuedAt < 600_000 ? tokenOf(who) : login(who));
  };
  return {
    stack,
    service: (name) => stack.services.find((service) => service.name === name) as RunningService,
    tokens,
    as: async (who, more) =>
      kept(
        await connect({
          servers: stack.broker.url,
          principal: cast[who].id,
          credential: { token: tokensOf(who) },
          timeoutMs: 15_000,
          ...more,
        }),
      ),
    raw: async (who, token = tokenOf(who)) => kept(await rawCaller(stack.broker.url, cast[who].id, token)),
    login,
    async stop() {
      await Promise.all(opened.map((one) => one.close().catch(() => undefined)));
      await stack.stop();
      await store?.stop();
      await folder?.remove();
    },
  };
}

/** The code of the refusal, or `OK`. */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'OK';
  } catch (error) {
    if (error instanceof ClavigerError) return error.code;
    throw error;
  }
}
