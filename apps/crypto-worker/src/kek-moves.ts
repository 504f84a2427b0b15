import { type KekMaterial, ProblemError } from '@claviger/contracts';
import { HsmError, type KeySource, moveWrappingKey, type Token, type WrappedKeyMaterial, type WrappingKey } from '@claviger/hsm';
import type { Tokens } from './tokens';

/** A root, and the token that it is in: the worker's first one when left out. */
export type RootName = Pick<KekMaterial, 'rootLabel' | 'token'>;

/** A key that wraps others under another root: inside the token that holds both, or from one token to another. Throws ERR_KEY_UNREADABLE: `what` does not open. */
export async function underRoot(tokens: Tokens, material: KekMaterial, { rootLabel, token }: RootName, what: string): Promise<KekMaterial> {
  const [from, to] = [tokens.ofRoot(material.token), tokens.ofRoot(token)];
  const root = () => to.findTokenKey(rootLabel, 'secret');
  // The new root first: a token that lacks it is no fault of the KEK.
  root();
  const key = { ...decoded(material), under: () => opened(what, () => from.findTokenKey(material.rootLabel, 'secret')) };
  const moved = await passed(from, key, to, root).catch((error: unknown) => {
    throw unreadable(what, error) ?? error;
  });
  return { rootLabel, ...(token === undefined ? {} : { token }), ...encoded(moved) };
}

/** A key that wraps others, from under one key to under another, wherever these are. @throws HsmError as Token.rewrap and moveWrappingKey do; ProblemError ERR_ALGORITHM_UNAVAILABLE */
export async function passed(from: Token, key: WrappingKey, to: Token, under: KeySource): Promise<WrappedKeyMaterial> {
  const pass = async () =>
    from === to
      ? from.rewrap({ wrapped: key.wrapped, mechanism: key.mechanism, algorithm: 'AES_256', from: key.under(), to: under() })
      : moveWrappingKey(from, to, key, under);
  try {
    return await pass().catch((error: unknown) => {
      if (error instanceof HsmError && error.code === 'HSM_SESSION_LOST') return pass();
      throw error;
    });
  } catch (error) {
    // No repetition makes two tokens understand each other.
    if (from !== to && error instanceof HsmError && error.code === 'HSM_SELF_TEST_FAILED')
      throw new ProblemError('ERR_ALGORITHM_UNAVAILABLE', `${error.what}.`, { cause: error });
    throw error;
  }
}

/** What is damaged, or under what the token does not hold, stays so: it is said of what was to be opened, and is no failure of the HSM. */
export function opened<T>(what: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    throw unreadable(what, error) ?? error;
  }
}

const unreadable = (what: string, error: unknown): ProblemError | undefined =>
  error instanceof HsmError && (error.code === 'HSM_WRAPPED_KEY_INVALID' || error.code === 'HSM_KEY_NOT_FOUND')
    ? new ProblemError('ERR_KEY_UNREADABLE', `${what} does not open: ${error.what}`, { cause: error })
    : undefined;

export const encoded = ({ wrapped, mechanism, family }: WrappedKeyMaterial) => ({
  mechanism,
  family,
  wrapped: wrapped.toString('base64url'),
});
export const decoded = ({ wrapped, mechanism }: Pick<KekMaterial, 'wrapped' | 'mechanism'>) => ({
  wrapped: Buffer.from(wrapped, 'base64url'),
  mechanism,
});
