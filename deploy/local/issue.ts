// First tokens of an installation, signed in its control token: node dist/deploy/local/issue.js FOLDER LIBRARY PRINCIPAL…
// A principal followed by +mfa gets a token that says so. Prints {"principal": "token", …}.
import { readPin, Token, tokenKeyLabels, trustedSigner } from '@claviger/hsm';
import { createInstallation, issueToken } from '@claviger/installation';

const [folder, libraryPath, ...principals] = process.argv.slice(2);
if (!folder || !libraryPath || principals.length === 0) {
  console.error('usage: issue FOLDER PKCS11_LIBRARY PRINCIPAL[+mfa] …');
  process.exit(64);
}
const { place, trust } = createInstallation({ folder, libraryPath });
process.env.SOFTHSM2_CONF = place.softhsmConf('control');
const token = Token.open({
  libraryPath,
  tokenLabel: 'control',
  pin: readPin(place.pinFile('control')),
  canary: tokenKeyLabels.control.signing,
});
const signer = trustedSigner(token, tokenKeyLabels.control.signing, trust.control);
const issued = principals.map((asked) => {
  const [principal, mfa] = asked.split('+') as [string, string | undefined];
  return [principal, issueToken(signer, { principal, amr: mfa === 'mfa' ? ['pwd', 'mfa'] : ['swk'], lifetimeSeconds: 900 }).token];
});
token.close();
console.log(JSON.stringify(Object.fromEntries(issued)));
