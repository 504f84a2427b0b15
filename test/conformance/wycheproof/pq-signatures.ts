import { Skip } from '../outcome';
import { pqForms } from './pq-keys';
import { compared, given, refusesAll, type Suite } from './suite';
import { type Group, hex, type Vector } from './vectors';

/** The group's own DER where it has one, else made from the bytes. */
const derOr = (group: Group, name: string, make: () => Buffer) => (typeof group[name] === 'string' ? hex(group, name) : make());
const contextOf = (vector: Vector) => ('ctx' in vector ? { context: hex(vector, 'ctx') } : {});

/** MlDsaVerify, and SlhDsaVerify in the same form: with the context of the vector. */
export const pqVerify: Suite = (token, group, algorithm) => {
  const forms = pqForms(algorithm);
  const key = given(() =>
    token.importPublicKey(
      forms.algorithm,
      derOr(group, 'publicKeyDer', () => forms.spki(hex(group, 'publicKey'))),
    ),
  );
  if (!key) return refusesAll;
  return (vector) =>
    given(() => token.verifyMessage(key, hex(vector, 'msg'), hex(vector, 'sig'), contextOf(vector))) ? 'accepted' : 'rejected';
};

/** MlDsaSign, from a seed or an expanded key: the deterministic variant, whose signature has one right value. */
export const mlDsaSign: Suite = (token, group, algorithm) => {
  const forms = pqForms(algorithm);
  const pkcs8 = derOr(group, 'privateKeyPkcs8', () =>
    'privateSeed' in group ? forms.fromSeed(hex(group, 'privateSeed')) : forms.fromExpanded(hex(group, 'privateKey')),
  );
  const key = given(() => token.importKnownPrivate(forms.algorithm, pkcs8, 'sign'));
  if (!key) return refusesAll;
  return (vector) => {
    if (!('msg' in vector)) throw new Skip('no token takes mu in place of the message (PKCS#11 v3.2 has no mechanism for it)');
    if ('rnd' in vector) throw new Skip('the randomness of a hedged signature is the token’s own');
    return compared(
      given(() => token.signMessage(key, hex(vector, 'msg'), { ...contextOf(vector), deterministic: true })),
      hex(vector, 'sig'),
    );
  };
};
