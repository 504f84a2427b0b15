import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Client } from '@claviger/client';
import type { Command } from 'commander';
import type { DiscoveredKey } from '../discovery/discovered';
import { type DiscoveryFinding, discoveryFindings, type KnownToUs } from '../discovery/discovery-findings';
import { type FolderLook, keysInFolder } from '../discovery/folder';
import { keysInToken } from '../discovery/token';
import { CommandError, Finding } from '../exit-codes';
import { keysMeant } from '../key-pages';
import type { Output } from '../output';
import { wholeNumber } from '../pairs';
import { offline, type Work } from '../run';
import { withClient } from '../session';

interface Options {
  offline?: boolean;
  accept?: string;
  expiringDays: string;
}

/** Keys that live elsewhere, and how they fall short; copies of managed ones above all. */
export function discoverCommands(program: Command): void {
  const discover = program.command('discover').description('keys that live outside Claviger; exit 1 when something is found wrong');
  const source = (usage: string, summary: string) =>
    discover
      .command(usage)
      .description(summary)
      .option('--offline', 'do not ask Claviger which keys it manages: copies of them are not told apart')
      .option(
        '--accept <file>',
        'public keys that may stay where they are: SHA-256 of their SPKI in base64url, one a line, # begins a remark',
      )
      .option('--expiring-days <n>', 'tell of certificates that end within so many days', '30');
  source(
    'folder <folder>',
    'private keys, secrets, key stores and certificates in the files below a folder: PEM, DER, JWK, OpenSSH, PKCS#12, JKS',
  ).action(
    offline<Options, [string]>(async (work, folder) => {
      const look: FolderLook = { files: 0, unseen: [] };
      await tell(work, keysInFolder(folder, look), () => {
        work.output.note(`${look.files} files looked at`);
        for (const { place, why } of look.unseen) work.output.note(`NOT looked at: ${place} (${why})`);
      });
      if (look.files === 0 && look.unseen.length > 0)
        throw new CommandError('badInput', `${folder} cannot be read (${look.unseen[0]?.why})`);
    }),
  );
  source('token <label>', 'key objects of another PKCS#11 token')
    .requiredOption('--library <file>', 'its PKCS#11 library')
    .requiredOption('--pin-file <file>', 'with the user PIN')
    .action(
      offline<Options & { library: string; pinFile: string }, [string]>(async (work, label) => {
        const { library, pinFile } = work.options;
        await tell(work, keysInToken({ library, label, pinFile }), () => undefined);
      }),
    );
}

async function tell(
  { options, settings, output }: Work<Options>,
  source: Iterable<DiscoveredKey> | AsyncIterable<DiscoveredKey>,
  after: () => void,
): Promise<void> {
  const managed = options.offline ? new Map<string, string>() : await withClient(settings, managedKeys);
  const known: KnownToUs = {
    nowMs: Date.now(),
    managed,
    accepted: options.accept === undefined ? new Set() : accepted(options.accept),
    expiringDays: wholeNumber('--expiring-days', options.expiringDays) as number,
  };
  const keys: DiscoveredKey[] = [];
  const findings: DiscoveryFinding[] = [];
  for await (const key of source) {
    keys.push(key);
    findings.push(...discoveryFindings(key, known));
    output.progress(`${keys.length} keys found, ${findings.length} findings`);
  }
  output.progress(undefined);
  show(output, keys, findings);
  after();
  if (findings.length > 0) throw new Finding(`${findings.length} finding(s) of ${keys.length} key(s)`);
}

function show(output: Output, keys: DiscoveredKey[], findings: DiscoveryFinding[]): void {
  output.table({ keys, findings }, findings, [
    { title: 'CHECK', value: ({ check }) => check },
    { title: 'PLACE', value: ({ place }) => place },
    { title: 'WHY', value: ({ why }) => why },
    { title: 'NEXT', value: ({ next }) => next },
  ]);
  const counts = Map.groupBy(keys, ({ kind }) => kind);
  output.note([...counts].map(([kind, some]) => `${some.length} ${kind}`).join(', ') || 'no keys');
}

/** Public halves of every version that the caller may describe. */
async function managedKeys(client: Client): Promise<Map<string, string>> {
  const managed = new Map<string, string>();
  for await (const { keyId, versions } of keysMeant(client))
    for (const { version, publicKeySpki } of versions)
      if (publicKeySpki)
        managed.set(createHash('sha256').update(Buffer.from(publicKeySpki, 'base64url')).digest('base64url'), `${keyId}#${version}`);
  return managed;
}

function accepted(file: string): Set<string> {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim());
  const wrong = lines.findIndex((line) => line !== '' && !/^[A-Za-z0-9_-]{43}$/.test(line));
  if (wrong !== -1) throw new CommandError('badInput', `${file}: line ${wrong + 1} is no SHA-256 in base64url`);
  return new Set(lines.filter((line) => line !== ''));
}
