import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Trust } from '@claviger/contracts';
import { createCustomerKeys, readPin, Token } from '@claviger/hsm';
import type { layout } from '@claviger/installation';
import { readMachine, runCommand, workspaceRoot } from '@claviger/testing';

/** A token of kryoptic beside an installation's own. @returns the variables of workers that use it */
export async function addKryopticToken(folder: string, libraryPath: string, label: string): Promise<Record<string, string>> {
  const command = ['bootstrap', 'add-token', '--folder', folder, '--library', libraryPath, '--label', label, '--json'];
  const { stdout } = await runCommand(process.execPath, ['dist/apps/cli/main.js', ...command], {
    cwd: workspaceRoot(),
    // Where the tokens lie is the installation's to say: KRYOPTIC_CONF or SOFTHSM2_CONF of ours would make it in somebody else's.
    env: { PATH: process.env.PATH },
  });
  return (JSON.parse(stdout) as { env: Record<string, string> }).env;
}

/**
 * The customer token in kryoptic, in place of that of the ceremony: for measuring what SoftHSM lacks. The folder is a new one each time.
 * @returns the variables of the workers, and the trust file that names its certifier
 */
export async function customerTokenIn(
  place: ReturnType<typeof layout>,
  libraryPath: string,
): Promise<{ env: Record<string, string>; trustFile: string }> {
  // Its services trust another certifier.
  if (readMachine().nats.kind === 'url') throw new Error('the installation of NATS_URL is not ours to give another customer token');
  const label = 'customer-kryoptic';
  const { KRYOPTIC_CONF = '' } = await addKryopticToken(place.folder, libraryPath, label);
  // The library reads it when it is loaded, which is below.
  process.env.KRYOPTIC_CONF = KRYOPTIC_CONF;
  const token = Token.open({ libraryPath, tokenLabel: label, pin: readPin(place.pinFile(label)) });
  const { certifier } = createCustomerKeys(token);
  token.close();
  const trust = Trust.parse(JSON.parse(readFileSync(place.trustFile, 'utf8')));
  trust.certifiers['customer-certifier'] = certifier.toString('base64url');
  const trustFile = join(place.folder, 'trust-kryoptic.json');
  writeFileSync(trustFile, `${JSON.stringify(trust, null, 2)}\n`);
  return { trustFile, env: { PKCS11_LIBRARY: libraryPath, HSM_TOKEN_LABEL: label, HSM_PIN_FILE: place.pinFile(label), KRYOPTIC_CONF } };
}
