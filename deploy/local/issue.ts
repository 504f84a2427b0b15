// First tokens of an installation, signed in its control token: node dist/deploy/local/issue.js FOLDER LIBRARY PRINCIPAL…
// A principal followed by +mfa gets a token that says so. Prints {"principal": "token", …}.
import { tokenKeyLabels, trustedSigner } from '@claviger/hsm';
import { createInstallation, issueToken, withToken } from '@claviger/installation';

const [folder, libraryPath, ...principals] = process.argv.slice(2);
if (!folder || !libraryPath || principals.length === 0) {
  console.error('usage: issue FOLDER PKCS11_LIBRARY PRINCIPAL[+mfa] …');
  process.exit(64);
}
const { place, trust } = createInstallation({ folder, libraryPath });
const issued = await withToken({ place, libraryPath }, 'control', (token) => {
  const signer = trustedSigner(token, tokenKeyLabels.control.signing, trust.control);
  return principals.map((asked) => {
    const [principal, mfa] = asked.split('+') as [string, string | undefined];
    return [principal, issueToken(signer, { principal, amr: mfa === 'mfa' ? ['pwd', 'mfa'] : ['swk'], lifetimeSeconds: 900 }).token];
  });
});
console.log(JSON.stringify(Object.fromEntries(issued)));
