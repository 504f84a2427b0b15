import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { HsmError, initToken, Token } from '@claviger/hsm';
import { newPin } from './ceremony';
import { kryopticSlot } from './kryoptic-slots';

/**
 * A token that exists while `use` runs and of which nothing is left: in a folder of its own, of SoftHSM or kryoptic (whichever the library is). Call it
 * where no other token of the library is open: its configuration is read once.
 * @throws HsmError HSM_CONFIGURATION for a library whose tokens are not files: a free slot of a device is not made and unmade by the way
 */
export async function withScratchToken<T>(libraryPath: string, use: (token: Token) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-scratch-'));
  const [pin, tokenLabel] = [newPin(), 'claviger-scratch'];
  const { SOFTHSM2_CONF, KRYOPTIC_CONF } = process.env;
  try {
    const slots = configure(folder, libraryPath, tokenLabel);
    initToken(libraryPath, { label: tokenLabel, soPin: newPin(), pin, slots });
    const token = Token.open({ libraryPath, tokenLabel, pin });
    try {
      return await use(token);
    } finally {
      token.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    restore({ SOFTHSM2_CONF, KRYOPTIC_CONF });
  }
}

function configure(folder: string, libraryPath: string, label: string): number[] {
  if (!/softhsm|kryoptic/.test(basename(libraryPath)))
    throw new HsmError('HSM_CONFIGURATION', 'A scratch token is made with the libraries of SoftHSM and kryoptic only');
  if (basename(libraryPath).includes('kryoptic')) {
    const conf = join(folder, 'kryoptic.conf');
    process.env.KRYOPTIC_CONF = conf;
    return [kryopticSlot(conf, join(folder, `${label}.sql`))];
  }
  const conf = join(folder, 'softhsm2.conf');
  mkdirSync(join(folder, 'tokens'), { mode: 0o700 });
  writeFileSync(conf, `directories.tokendir = ${join(folder, 'tokens')}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  process.env.SOFTHSM2_CONF = conf;
  return [];
}

function restore(variables: Record<string, string | undefined>): void {
  for (const [name, value] of Object.entries(variables)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}
