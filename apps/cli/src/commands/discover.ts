import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ClavigerError, type Client } from '@claviger/client';
import type { KeyProfile } from '@claviger/contracts';
import type { Command } from 'commander';
import { type AwsLook, keysInAwsKms } from '../discovery/aws-kms';
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
        'keys that may stay where they are: the SHA-256 of the public key (SPKI) in base64url, or the place, one a line',
      )
      .option('--expiring-days <n>', 'tell of certificates that end within so many days', '30');
  source(
    'folder <folder>',
    'private keys, secrets, key stores and certificates in the files below a folder: PEM, DER, JWK, OpenSSH, PKCS#12, JKS',
  ).action(
    offline<Options, [string]>(async (work, folder) => {
      const look: FolderLook = { files: 0, unseen: [] };
      await tell(
        work,
        () => keysInFolder(folder, look),
        () => {
          work.output.note(`${look.files} files looked at`);
          tellUnseen(work.output, look.unseen);
        },
      );
      if (look.files === 0 && look.unseen.length > 0)
        throw new CommandError('badInput', `${folder} cannot be read (${look.unseen[0]?.why})`);
    }),
  );
  source(
    'aws-kms <region>',
    'customer managed keys of AWS KMS, by the credentials that the AWS SDK finds; asks, and changes nothing',
  ).action(
    offline<Options, [string]>(async (work, region) => {
      const look: AwsLook = { profiles: [], unseen: [] };
      await tell(
        work,
        (ours) => keysInAwsKms(region, Object.assign(look, { profiles: ours.profiles })),
        () => tellUnseen(work.output, look.unseen),
      );
    }),
  );
  source('token <label>', 'key objects of another PKCS#11 token')
    .requiredOption('--library <file>', 'its PKCS#11 library')
    .requiredOption('--pin-file <file>', 'with the user PIN')
    .action(
      offline<Options & { library: string; pinFile: string }, [string]>(async (work, label) => {
        const { library, pinFile } = work.options;
        await tell(
          work,
          () => keysInToken({ library, label, pinFile }),
          () => undefined,
        );
      }),
    );
}

/** What Claviger has to compare with. */
interface Ours {
  managed: ReadonlyMap<string, string>;
  profiles: readonly KeyProfile[];
}

async function tell(
  { options, settings, output }: Work<Options>,
  source: (ours: Ours) => Iterable<DiscoveredKey> | AsyncIterable<DiscoveredKey>,
  after: () => void,
): Promise<void> {
  const ours: Ours = options.offline
    ? { managed: new Map(), profiles: [] }
    : await withClient(settings, async (client) => ({ managed: await managedKeys(client), profiles: await profilesOf(client, output) }));
  const known: KnownToUs = {
    nowMs: Date.now(),
    managed: ours.managed,
    accepted: options.accept === undefined ? new Set() : accepted(options.accept),
    expiringDays: wholeNumber('--expiring-days', options.expiringDays) as number,
  };
  const keys: DiscoveredKey[] = [];
  const findings: DiscoveryFinding[] = [];
  for await (const key of source(ours)) {
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

/** Undefined, and said, where policy does not let the caller read them. */
async function profilesOf(client: Client, output: Output): Promise<readonly KeyProfile[]> {
  try {
    return (await client.policy.show()).bundle.profiles ?? [];
  } catch (error) {
    if (!(error instanceof ClavigerError && error.code === 'ERR_ACCESS_DENIED')) throw error;
    output.note('keys are not compared with the profiles of policy: you may not read policies');
    return [];
  }
}

function tellUnseen(output: Output, unseen: readonly { place: string; why: string }[]): void {
  for (const { place, why } of unseen) output.note(`NOT looked at: ${place} (${why})`);
}

const accepted = (file: string): Set<string> =>
  new Set(
    readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== ''),
  );
