import { algorithms } from './algorithms';
import { HsmError } from './hsm-error';
import { destroyQuietly } from './key-pairs';
import { deciphersCanary } from './sessions';
import { secretKeyTemplate } from './templates';
import { Token } from './token';

const iv = Buffer.alloc(12);
const none = Buffer.alloc(0);
const plaintext = Buffer.alloc(16, 0xca);

/**
 * Whether the token is well: it shows its canary, and with keys made for this it encrypts, decrypts and signs. About 30 calls, none of which changes
 * anything that outlives the session; for a token that failed before, since a canary that is not seen costs it its sessions.
 * @throws HsmError what it failed with; HSM_SELF_TEST_FAILED when a result is wrong
 */
export function probe(token: Token): void {
  token.assertAnswers();
  const connection = Token.connectionOf(token);
  connection.assertShowsObjects('its objects');
  const attributes = secretKeyTemplate('AES_256', { usage: 'encrypt', extractable: false });
  const mechanism = { mechanism: algorithms.AES_256.generate };
  const object = connection.call('generate', (p11, { objects }) => p11.C_GenerateKey(objects, mechanism, attributes));
  const key = { object, algorithm: 'AES_256', generation: token.generation } as const;
  try {
    const decrypted = token.decryptGcm(key, iv, none, token.encryptGcm(key, iv, none, plaintext));
    if (!decrypted.equals(plaintext)) throw new HsmError('HSM_SELF_TEST_FAILED', `Token ${token.label} does not decrypt what it encrypted`);
  } finally {
    destroyQuietly(connection, key);
  }
  // A pair signs once when it is generated.
  token.destroyObject(token.generateSessionKeyPair('EC_P256').privateKey);
  if (token.random(16).equals(token.random(16))) throw new HsmError('HSM_SELF_TEST_FAILED', 'The random generator repeats itself');
}

/**
 * The same of a token that is near. One that is far is asked off the event loop, where only its calculations can be: whether a session of it still
 * deciphers. Several calls at once to a token that hangs would cost a session and a thread each, so that one is refused at once.
 * @throws HsmError HSM_UNAVAILABLE, HSM_SESSION_LOST (its sessions are new now: it is well if it passes once more), HSM_CAPACITY (no session was free in
 * time: it may be well), and what else it failed with
 */
export async function probeAsync(token: Token): Promise<void> {
  if (token.distance === 'near') return probe(token);
  token.assertAnswers();
  const connection = Token.connectionOf(token);
  const right = await connection.async.run({
    ...{ operation: 'decrypt', subject: 'its canary' },
    begin: (p11, session) => deciphersCanary(p11, session, connection.ready().canary),
  });
  if (!right) throw new HsmError('HSM_SELF_TEST_FAILED', `Token ${token.label} does not decipher its canary`, { token: token.label });
}
