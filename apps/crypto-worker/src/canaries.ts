import { type Canary, type CanarySubject, canaryText } from '@claviger/contracts';
import { HsmError, type HsmErrorCode, type KeyHandle, type Token } from '@claviger/hsm';
import { nextIv } from './iv';

const wrapScheme = 'KW';
/** What is wrapped as a canary, in whole blocks of 8 bytes; AES Key Wrap is deterministic, so it comes out the same again (SP 800-38F §6.2). */
const wrappedText = (text: string) => Buffer.from(text.padEnd(64).slice(0, 64));

/**
 * The canary of a key that encrypts, computes MACs or wraps: null for a pair, whose public half is one. Nothing can be learnt from it: a tag over a text
 * that names the version, and an invocation that counts as any other.
 */
export async function makeCanary(
  token: Token,
  key: KeyHandle,
  { keyId, version, usage, publicKeySpki }: CanarySubject,
): Promise<Canary | null> {
  if (publicKeySpki !== undefined) return null;
  const text = canaryText(keyId, version);
  const message = Buffer.from(text);
  if (usage === 'encrypt') {
    const iv = nextIv();
    const tag = await token.use.encryptGcm(() => key, iv, message, Buffer.alloc(0));
    return { iv: b64u(iv), tag: b64u(tag) };
  }
  if (usage === 'mac') return { tag: b64u(await token.use.mac(() => key, message)) };
  if (usage === 'wrap') return { tag: b64u(token.wrapValue(key, wrapScheme, wrappedText(text))) };
  return null;
}

/** `ok`, or what is wrong with the key. @throws HsmError for what says nothing about it */
export async function checkCanary(token: Token, key: KeyHandle, subject: CanarySubject): Promise<string> {
  const { keyId, version, usage, publicKeySpki, canary } = subject;
  try {
    if (publicKeySpki !== undefined) {
      await token.assertPair(() => key, Buffer.from(publicKeySpki, 'base64url'), usage);
      return 'ok';
    }
    if (!canary) return 'it has no canary';
    const text = canaryText(keyId, version);
    const tag = Buffer.from(canary.tag, 'base64url');
    if (usage === 'encrypt') {
      await token.use.decryptGcm(() => key, Buffer.from(canary.iv ?? '', 'base64url'), Buffer.from(text), tag);
      return 'ok';
    }
    if (usage === 'mac') return (await token.use.verifyMac(() => key, Buffer.from(text), tag)) ? 'ok' : another;
    return b64u(token.wrapValue(key, wrapScheme, wrappedText(text))) === canary.tag ? 'ok' : another;
  } catch (error) {
    const said = error instanceof HsmError ? verdicts[error.code] : undefined;
    if (said === undefined) throw error;
    return said;
  }
}

const another = 'its canary was made with another key';
const verdicts: Partial<Record<HsmErrorCode, string>> = {
  HSM_AUTHENTICATION_FAILED: another,
  HSM_SELF_TEST_FAILED: 'its private half is not that of its public half',
  HSM_WRAPPED_KEY_INVALID: 'its material does not unwrap',
};
export const unwrapVerdict = (error: unknown): string | undefined =>
  error instanceof HsmError && error.code === 'HSM_WRAPPED_KEY_INVALID' ? verdicts[error.code] : undefined;

const b64u = (bytes: Buffer) => bytes.toString('base64url');
