// Step: the PKCS#11 library of kryoptic, for post-quantum keys. Optional: without it those are ERR_ALGORITHM_UNAVAILABLE, and their tests are skipped.
// Built from its crate (tools/kryoptic) with OpenSSL and SQLite inside; once, about five minutes on two cores.
import { existsSync, readdirSync } from 'node:fs';
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { aptInstall, canInstall } from './apt.mjs';
import { onPath } from './on-path.mjs';
import { cache, kryopticLibrary, root } from './paths.mjs';
import { run } from './run-command.mjs';
import { makeWhole } from './whole-file.mjs';

const crate = join(root, 'tools', 'kryoptic');
const target = join(cache, 'kryoptic-build');

/** Where it is, or undefined: KRYOPTIC_LIBRARY before what was built here. */
export function kryopticFound() {
  const libraryPath = process.env.KRYOPTIC_LIBRARY || kryopticLibrary;
  return existsSync(libraryPath) ? { libraryPath } : undefined;
}

export async function kryoptic(say) {
  const there = kryopticFound();
  if (there) return { found: there.libraryPath };
  const cargo = onPath('cargo');
  if (!cargo) return { found: 'none: no cargo on PATH (https://rustup.rs), so no post-quantum keys' };
  if (!libclang() && (await canInstall())) await aptInstall(['libclang1'], say).catch(() => undefined);
  if (!libclang()) return { found: 'none: no libclang, which its build reads C headers with (libclang1 of Debian, or LIBCLANG_PATH)' };
  say('building kryoptic 1.5.4, once, about five minutes');
  const { code } = await run(cargo, ['build', '--release', '--locked', '--target-dir', target], {
    ...{ cwd: crate, timeoutMs: 1_800_000 },
    env: { ...process.env, ...(await compilerHeaders()) },
  });
  const built = join(target, 'release', 'libkryoptic_pkcs11.so');
  // Everything else works without it, so nothing stops here.
  if (code !== 0 || !existsSync(built))
    return { found: `none: it does not build here; \`cargo build\` in ${crate} says why (it wants a C compiler, perl and make)` };
  await mkdir(dirname(kryopticLibrary), { recursive: true });
  await makeWhole(kryopticLibrary, (path) => copyFile(built, path));
  await rm(target, { recursive: true, force: true });
  return { found: `built, ${kryopticLibrary}` };
}

/** Where bindgen would find it: looked up first, since it is asked for only at the end of those five minutes. */
function libclang() {
  const debian = existsSync('/usr/lib') ? readdirSync('/usr/lib').filter((name) => name.startsWith('llvm-')) : [];
  const folders = [
    process.env.LIBCLANG_PATH,
    ...debian.map((name) => `/usr/lib/${name}/lib`),
    '/usr/lib64',
    '/usr/lib',
    '/usr/lib/x86_64-linux-gnu',
  ];
  return folders.find((folder) => folder && existsSync(folder) && readdirSync(folder).some((name) => /^libclang(-\d+)?\.so/.test(name)));
}

/** libclang alone comes without the compiler's own headers (stddef.h); those of the C compiler do. */
async function compilerHeaders() {
  const { code, stdout } = await run('cc', ['-print-file-name=include'], { timeoutMs: 5_000 });
  return code === 0 ? { BINDGEN_EXTRA_CLANG_ARGS: `-I${stdout.trim()} ${process.env.BINDGEN_EXTRA_CLANG_ARGS ?? ''}`.trim() } : {};
}
