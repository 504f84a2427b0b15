// Step: the PKCS#11 library of kryoptic, for post-quantum keys. Optional: without it those are ERR_ALGORITHM_UNAVAILABLE, and their tests are skipped.
// Built from its crate (tools/kryoptic) with OpenSSL and SQLite inside; once, about five minutes on two cores.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { aptInstall, canInstall } from './apt.mjs';
import { onPath } from './on-path.mjs';
import { cache, kryopticLibrary, root } from './paths.mjs';
import { SetupProblem } from './problem.mjs';
import { run } from './run-command.mjs';
import { makeWhole } from './whole-file.mjs';

const crate = join(root, 'tools', 'kryoptic');
const target = join(cache, 'kryoptic-build');

/** What its build wants beside cargo. libclang reads the C headers, but those of the compiler itself (stddef.h) come with the compiler. */
const wants = 'a C compiler with its headers, libclang, perl and make (Debian: apt install gcc libc6-dev libclang1 perl make)';

/** Where it is, or undefined: KRYOPTIC_LIBRARY before what was built here. @throws SetupProblem when that names no file: building another would not help */
export function kryopticFound() {
  const named = process.env.KRYOPTIC_LIBRARY;
  if (named && !existsSync(named))
    throw new SetupProblem(`KRYOPTIC_LIBRARY names ${named}, which is not there`, [
      'Correct it, or unset it: then `npm run setup` builds the library.',
    ]);
  const libraryPath = named || kryopticLibrary;
  return existsSync(libraryPath) ? { libraryPath } : undefined;
}

export async function kryoptic(say) {
  const there = kryopticFound();
  if (there) return { found: there.libraryPath };
  const cargo = onPath('cargo');
  if (!cargo) return { found: 'none: no cargo on PATH (https://rustup.rs), so no post-quantum keys' };
  if (!libclang() && (await canInstall())) await aptInstall(['libclang1'], say).catch(() => undefined);
  if (!libclang()) return { found: `none: no libclang (LIBCLANG_PATH names one that is elsewhere); its build wants ${wants}` };
  say('building kryoptic 1.5.4, once, about five minutes');
  const { code } = await run(cargo, ['build', '--release', '--locked', '--target-dir', target], {
    ...{ cwd: crate, timeoutMs: 1_800_000 },
    env: { ...process.env, ...(await compilerHeaders()) },
  });
  const built = join(target, 'release', 'libkryoptic_pkcs11.so');
  // Everything else works without it, so nothing stops here.
  if (code !== 0 || !existsSync(built))
    return { found: `none: it does not build here; \`cargo build\` in ${crate} says why; it wants ${wants}` };
  await mkdir(dirname(kryopticLibrary), { recursive: true });
  await makeWhole(kryopticLibrary, (path) => copyFile(built, path));
  await rm(target, { recursive: true, force: true });
  return { found: `built, ${kryopticLibrary}` };
}

/** Where bindgen would find it: looked up first, since it is asked for only at the end of those five minutes. */
export function libclang() {
  const debian = existsSync('/usr/lib') ? readdirSync('/usr/lib').filter((name) => name.startsWith('llvm-')) : [];
  const places = [
    process.env.LIBCLANG_PATH,
    ...debian.map((name) => `/usr/lib/${name}/lib`),
    '/usr/lib64',
    '/usr/lib',
    '/usr/lib/x86_64-linux-gnu',
  ];
  return places.find((place) => place && namesIn(place).some((name) => /^libclang(-\d+)?\.so/.test(name)));
}

/** LIBCLANG_PATH may name the library itself as well as its folder. */
function namesIn(place) {
  const found = statSync(place, { throwIfNoEntry: false });
  if (found?.isDirectory()) return readdirSync(place);
  return found ? [basename(place)] : [];
}

/** libclang alone comes without the compiler's own headers (stddef.h); those of the C compiler do. */
async function compilerHeaders() {
  const { code, stdout } = await run('cc', ['-print-file-name=include'], { timeoutMs: 5_000 });
  return code === 0 ? { BINDGEN_EXTRA_CLANG_ARGS: `-I${stdout.trim()} ${process.env.BINDGEN_EXTRA_CLANG_ARGS ?? ''}`.trim() } : {};
}
