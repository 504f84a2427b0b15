import { given, oneOf, refusesAll, type Suite } from './suite';
import { hex, object, text } from './vectors';

/** EddsaVerify. */
export const ed25519: Suite = (token, group) => {
  oneOf({ edwards25519: true }, text(object(group, 'publicKey'), 'curve'), 'not a curve of Claviger');
  const key = given(() => token.importPublicKey('ED25519', hex(group, 'publicKeyDer')));
  if (!key) return refusesAll;
  return (vector) => (token.verifyMessage(key, hex(vector, 'msg'), hex(vector, 'sig')) ? 'accepted' : 'rejected');
};
