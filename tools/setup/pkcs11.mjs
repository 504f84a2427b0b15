// Step: a PKCS#11 library. PKCS11_LIBRARY wins (a real HSM's, or another token's); SoftHSM 2 is for trials.
import { existsSync } from 'node:fs';
import { aptInstall } from './apt.mjs';
import { SetupProblem } from './problem.mjs';

const SOFTHSM = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/usr/lib64/libsofthsm2.so',
  '/usr/local/lib/softhsm/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
];

export async function pkcs11(say) {
  const named = process.env.PKCS11_LIBRARY;
  if (named) {
    if (!existsSync(named))
      throw new SetupProblem(`PKCS11_LIBRARY names ${named}, which does not exist`, ['Correct or unset PKCS11_LIBRARY.']);
    return { pkcs11: { libraryPath: named }, found: `PKCS11_LIBRARY, ${named}` };
  }
  const find = () => SOFTHSM.find((path) => existsSync(path));
  if (!find()) await aptInstall(['softhsm2'], say, ['On Fedora: sudo dnf install -y softhsm', 'On macOS: brew install softhsm']);
  const libraryPath = find();
  if (!libraryPath)
    throw new SetupProblem('SoftHSM is installed but its library is in none of the usual places', [
      'Set PKCS11_LIBRARY to the path of libsofthsm2.so and run the same command again.',
    ]);
  return { pkcs11: { libraryPath }, found: `SoftHSM 2 (for trials: it protects nothing against its own process), ${libraryPath}` };
}
