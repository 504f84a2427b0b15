// A recovery group for a site that is for trials, without a ceremony of people: node dist/deploy/local/recovery-group.js FOLDER LIBRARY THRESHOLD NAME…
// Its public key goes into trust.json, each share into FOLDER/shares/NAME.share. One that is there already stays.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Trust } from '@claviger/contracts';
import { createRecoveryGroup, readPin, Token, textOfShare, tokenKeyLabels } from '@claviger/hsm';
import { layout, writeSecret } from '@claviger/installation';

const [folder, libraryPath, threshold, ...members] = process.argv.slice(2);
if (!folder || !libraryPath || !threshold || members.length === 0) {
  console.error('usage: recovery-group FOLDER PKCS11_LIBRARY THRESHOLD NAME …');
  process.exit(64);
}
const place = layout(folder);
const groupFile = join(folder, 'recovery-group.json');
if (!existsSync(groupFile)) {
  process.env.SOFTHSM2_CONF = place.softhsmConf('customer');
  const pin = readPin(place.pinFile('customer'));
  const token = Token.open({ libraryPath, tokenLabel: 'customer', pin, canary: tokenKeyLabels.customer.certifier });
  const { group, shares } = await createRecoveryGroup(token, {
    threshold: Number(threshold),
    members,
    createdAt: new Date().toISOString(),
  });
  token.close();
  mkdirSync(join(folder, 'shares'), { recursive: true, mode: 0o700 });
  for (const [i, share] of shares.entries()) {
    writeSecret(join(folder, 'shares', `${members[i]}.share`), textOfShare(share));
    share.value.fill(0);
  }
  const trust = Trust.parse(JSON.parse(readFileSync(place.trustFile, 'utf8')));
  const named = { ...trust, recovery: { ...trust.recovery, [group.groupId]: group.publicKeySpki } };
  writeFileSync(`${place.trustFile}.new`, `${JSON.stringify(named, null, 2)}\n`);
  renameSync(`${place.trustFile}.new`, place.trustFile);
  writeFileSync(`${groupFile}.new`, `${JSON.stringify(group, null, 2)}\n`);
  renameSync(`${groupFile}.new`, groupFile);
}
