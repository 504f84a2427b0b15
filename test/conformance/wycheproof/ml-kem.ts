import type { KeyHandle, Token } from '@claviger/hsm';
import { type PqForms, pqForms } from './pq-keys';
import { compared, given, type Suite, withKey } from './suite';
import { type Group, hex, text } from './vectors';

const sharedSecretBytes = 32;
const formsOf = (group: Group): PqForms => pqForms(text(group, 'parameterSet'));

/** MLKEMTest: decapsulation with the key that comes of a seed. */
export const mlKemSeed: Suite = (token, group) => {
  const forms = formsOf(group);
  return (vector) =>
    withPrivate(token, forms, forms.fromSeed(hex(vector, 'seed')), (key) =>
      compared(
        given(() => token.decapsulate(key, hex(vector, 'c'))),
        hex(vector, 'K'),
      ),
    );
};

/** MLKEMDecapsValidationTest: the same with an expanded key, whose inner hash and public half the token must check (FIPS 203 §7.3). */
export const mlKemDecaps: Suite = (token, group) => {
  const forms = formsOf(group);
  return (vector) =>
    withPrivate(token, forms, forms.fromExpanded(hex(vector, 'dk')), (key) => {
      const secret = given(() => token.decapsulate(key, hex(vector, 'c')));
      // An invalid vector has no secret.
      return 'K' in vector ? compared(secret, hex(vector, 'K')) : secret ? 'accepted' : 'rejected';
    });
};

/** MLKEMEncapsTest: the randomness m of the vector cannot be given to a token, so a public key is judged by whether it is taken, as FIPS 203 §7.2 says. */
export const mlKemEncaps: Suite = (token, group) => {
  const forms = formsOf(group);
  return (vector) =>
    withPublic(token, forms, hex(vector, 'ek'), (key) => {
      const made = given(() => token.encapsulate(key));
      if (!made) return 'rejected';
      return made.sharedSecret.length === sharedSecretBytes && made.ciphertext.length === hex(vector, 'c').length ? 'accepted' : 'mismatch';
    });
};

/**
 * MLKEMKeyGen: what is encapsulated to the public half of the vector, which the secret is bound to, opens with the seed and with the expanded key; and
 * what was not encapsulated to it gives with both the same other secret, which z alone decides (FIPS 203 §6.3).
 */
export const mlKemKeyGen: Suite = (token, group) => {
  const forms = formsOf(group);
  return (vector) =>
    withPublic(token, forms, hex(vector, 'ek'), (publicKey) => {
      const { ciphertext, sharedSecret } = token.encapsulate(publicKey);
      const another = Buffer.alloc(ciphertext.length);
      return withPrivate(token, forms, forms.fromSeed(hex(vector, 'seed')), (fromSeed) =>
        withPrivate(token, forms, forms.fromExpanded(hex(vector, 'dk')), (expanded) => {
          const right = [fromSeed, expanded].every((key) => token.decapsulate(key, ciphertext).equals(sharedSecret));
          return right ? compared(token.decapsulate(fromSeed, another), token.decapsulate(expanded, another)) : 'mismatch';
        }),
      );
    });
};

type Judged = ReturnType<typeof compared>;

function withPrivate(token: Token, { algorithm }: PqForms, pkcs8: Buffer, use: (key: KeyHandle) => Judged): Judged {
  const key = given(() => token.importKnownPrivate(algorithm, pkcs8, 'encapsulate'));
  return key ? withKey(token, key, use) : 'rejected';
}

function withPublic(token: Token, { algorithm, spki }: PqForms, value: Buffer, use: (key: KeyHandle) => Judged): Judged {
  const key = given(() => token.importPublicKey(algorithm, spki(value), 'encapsulate'));
  return key ? withKey(token, key, use) : 'rejected';
}
