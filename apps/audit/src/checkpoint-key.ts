import { HsmError, Token, tokenKeyLabels } from '@claviger/hsm';
import { type NoteSigner, parseVerifierKey, rawEd25519PublicKey } from '@claviger/ledger';
import { ConfigurationError } from '@claviger/operability';

const { checkpoint } = tokenKeyLabels.ledger;

/** The log's signing key in the token. It must be the one that `trust.json` names: checkpoints that nobody can verify are not made. */
export function checkpointSigner(token: Token, vkey: string): NoteSigner {
  const { name, keyHash, publicKey } = parseVerifierKey(vkey);
  if (!rawEd25519PublicKey(token.publicKeySpki(checkpoint)).equals(publicKey))
    throw new ConfigurationError([`TRUST_FILE: ledger.vkey is not the public key of ${checkpoint} in token ${token.label}`]);
  const sign = (text: Buffer) => token.signEd25519(token.findTokenKey(checkpoint, 'private'), text);
  return {
    name,
    keyHash,
    sign: (text) => {
      try {
        return sign(text);
      } catch (error) {
        // The token lost its sessions: the handle is found anew, once.
        if (error instanceof HsmError && error.code === 'HSM_SESSION_LOST') return sign(text);
        throw error;
      }
    },
  };
}
