// npm run conformance -- wycheproof FOLDER_OR_FILE… [--token softhsm|kryoptic] [--json FILE]
import { readdir, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Counts, noCounts } from './outcome';
import { openFreshTokens, tokenNames } from './tokens';
import { runFile } from './wycheproof/run-file';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: 'string' }, token: { type: 'string' } } });
const [suite, ...paths] = positionals;
const names = tokenNames.filter((name) => values.token === undefined || values.token === name);
if (suite !== 'wycheproof' || paths.length === 0 || names.length === 0) {
  console.error(`usage: npm run conformance -- wycheproof FOLDER_OR_FILE… [--token ${tokenNames.join('|')}] [--json FILE]`);
  process.exit(64);
}

const files = (await Promise.all(paths.map(jsonFiles))).flat();
if (files.length === 0) {
  console.error(`There is no .json file in ${paths.join(', ')}: give the folder testvectors_v1 of Project Wycheproof.`);
  process.exit(65);
}
const opened = await openFreshTokens(names);
if (opened.missing) console.log(opened.missing);
if (opened.tokens.length === 0) {
  await opened.close();
  process.exit(69);
}
const results: { file: string; counts: Counts }[] = [];
try {
  for (const file of files) {
    const counts = await runFile(file, opened.tokens).catch((error: unknown): Counts => {
      return { ...noCounts(), failed: [`not a vector file: ${error instanceof Error ? error.message : String(error)}`] };
    });
    results.push({ file, counts });
    console.log(line(basename(file), counts));
    for (const failure of counts.failed) console.log(`    ✗ ${failure}`);
    for (const [reason, count] of counts.skipped) console.log(`    – ${count} skipped: ${reason}`);
  }
} finally {
  await opened.close();
}
const total = results.reduce(
  (sum, { counts }) => ({
    passed: sum.passed + counts.passed,
    failed: sum.failed + counts.failed.length,
    skipped: sum.skipped + skippedOf(counts),
  }),
  { passed: 0, failed: 0, skipped: 0 },
);
const covered = results.filter(({ counts }) => counts.passed + counts.failed.length > 0).length;
console.log(
  `\n${files.length} files, ${covered} of them covered: ${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`,
);
if (values.json !== undefined) {
  const rows = results.map(({ file, counts: { skipped, tokens, ...counts } }) => ({
    ...{ file: basename(file), ...counts, skipped: Object.fromEntries(skipped), tokens: Object.fromEntries(tokens) },
  }));
  await writeFile(values.json, `${JSON.stringify({ total, files: rows }, null, 2)}\n`);
}
process.exit(total.failed === 0 ? 0 : 1);

async function jsonFiles(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => undefined);
  if (!found) {
    console.error(`${path} does not exist`);
    process.exit(66);
  }
  if (!found.isDirectory()) return [path];
  const names = await readdir(path);
  return names
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => join(path, name));
}

function line(name: string, counts: Counts): string {
  const mark = counts.failed.length > 0 ? '✗' : counts.passed > 0 ? '✓' : '–';
  const tokens = [...counts.tokens].map(([token, count]) => (counts.tokens.size > 1 ? `${token} ${count}` : token)).join(', ');
  return `${mark} ${name}${tokens && ` (${tokens})`}: ${counts.passed} passed, ${counts.failed.length} failed, ${skippedOf(counts)} skipped`;
}

function skippedOf({ skipped }: Counts): number {
  return [...skipped.values()].reduce((sum, count) => sum + count, 0);
}
