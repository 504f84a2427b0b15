import { ClavigerError, type Client } from '@claviger/client';
import type { KeyProfile } from '@claviger/contracts';
import type { Command } from 'commander';
import { type AwsLook, keysInAwsKms } from '../discovery/aws-kms';
import type { DiscoveredKey } from '../discovery/discovered';
import { type DiscoveryFinding, discoveryFindings, type KnownToUs } from '../discovery/discovery-findings';
import { type FolderLook, keysInFolder } from '../discovery/folder';
import { spkiDigest } from '../discovery/key-algorithm';
import { keysInToken } from '../discovery/token';
import { CommandError, Finding } from '../exit-codes';
import { readText } from '../files';
import { keysMeant } from '../key-pages';
import type { Output } from '../output';
import { wholeNumber } from '../pairs';
import { offline, type Work } from '../run';
import { discoveryTold } from '../sarif/of-discovery';
import { writeSarif } from '../sarif/write';
import { withClient } from '../session';

interface Options {
  offline?: boolean;
  accept?: string;
  expiringDays: string;
  sarif?: string;
}

/** Keys that live elsewhere, and how they fall short; copies of managed ones above all. */
export function discoverCommands(program: Command): void {
  const discover = program
    .command('discover')
    .description('keys that live outside Claviger; exit 1 when something is found wrong, or could not be looked at');
  const source = (usage: string, summary: string) =>
    discover
      .command(usage)
      .description(summary)
      .option('--offline', 'do not ask Claviger which keys it manages: copies of them are not told apart')
      .option(
        '--accept <file>',
        'keys that may stay as they are: the SHA-256 of the public key (SPKI) in base64url, the place, or the ARN, one a line; a copy of a managed key is told all the same',
      )
      .option('--expiring-days <n>', 'tell of certificates that end within so many days', '30')
      .option('--sarif <file>', 'what is found as SARIF 2.1.0');
  source(
    'folder <folder>',
    'private keys, secrets, key stores and certificates in the files below a folder: PEM, DER, JWK, OpenSSH, PKCS#12, JKS',
  ).action(
    offline<Options, [string]>(async (work, folder) => {
      const look: FolderLook = { files: 0, unseen: [] };
      await tell(work, look, async function* () {
        yield* keysInFolder(folder, look);
        const [root] = look.unseen;
        if (root?.place === folder)
          throw new CommandError('badInput', `${folder} cannot be read (${root.why})`, 'Check its name, and that you may read it.');
        work.output.note(`${look.files} files looked at`);
      });
    }),
  );
  source(
    'aws-kms <region>',
    'customer managed keys of AWS KMS, by the credentials that the AWS SDK finds; asks, and changes nothing',
  ).action(
    offline<Options, [string]>(async (work, region) => {
      const look: AwsLook = { profiles: [], unseen: [] };
      await tell(work, look, (ours) => keysInAwsKms(region, Object.assign(look, { profiles: ours.profiles })));
    }),
  );
  source('token <label>', 'key objects of another PKCS#11 token')
    .requiredOption('--library <file>', 'its PKCS#11 library')
    .requiredOption('--pin-file <file>', 'with the user PIN')
    .action(
      offline<Options & { library: string; pinFile: string }, [string]>(async (work, label) => {
        const { library, pinFile } = work.options;
        await tell(work, { unseen: [] }, () => keysInToken({ library, label, pinFile }));
      }),
    );
}

interface Unseen {
  place: string;
  why: string;
}

/** What Claviger has to compare with. */
interface Ours {
  managed: ReadonlyMap<string, string>;
  profiles: readonly KeyProfile[];
}

async function tell(
  { options, settings, output }: Work<Options>,
  look: { unseen: readonly Unseen[] },
  source: (ours: Ours) => Iterable<DiscoveredKey> | AsyncIterable<DiscoveredKey>,
): Promise<void> {
  const { unseen } = look;
  const accepted = options.accept === undefined ? new Set<string>() : await acceptedIn(options.accept);
  const ours: Ours = options.offline
    ? { managed: new Map(), profiles: [] }
    : await withClient(settings, async (client) => ({ managed: await managedKeys(client), profiles: await profilesOf(client, output) }));
  const known: KnownToUs = {
    nowMs: Date.now(),
    managed: ours.managed,
    accepted,
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
  if (options.sarif !== undefined) writeSarif(options.sarif, 'discover', discoveryTold(findings, unseen, 'files' in look));
  show(output, { keys, findings, unseen });
  const told = `${findings.length} finding(s) of ${keys.length} key(s)`;
  if (unseen.length > 0) throw new Finding(`${told}, and ${unseen.length} place(s) that could not be looked at`);
  if (findings.length > 0) throw new Finding(told);
}

function show(output: Output, all: { keys: DiscoveredKey[]; findings: DiscoveryFinding[]; unseen: readonly Unseen[] }): void {
  const { keys, findings, unseen } = all;
  output.table(all, findings, [
    { title: 'CHECK', value: ({ check }) => check },
    { title: 'PLACE', value: ({ place }) => place },
    { title: 'WHY', value: ({ why }) => why },
    { title: 'NEXT', value: ({ next }) => next },
  ]);
  const counts = Map.groupBy(keys, ({ kind }) => kind);
  output.note([...counts].map(([kind, some]) => `${some.length} ${kind}`).join(', ') || 'no keys');
  for (const { place, why } of unseen) output.note(`NOT looked at: ${place} (${why})`);
}

/** Public halves of every version that the caller may describe. */
async function managedKeys(client: Client): Promise<Map<string, string>> {
  const managed = new Map<string, string>();
  for await (const { keyId, versions } of keysMeant(client))
    for (const { version, publicKeySpki } of versions)
      if (publicKeySpki) managed.set(spkiDigest(Buffer.from(publicKeySpki, 'base64url')), `${keyId}#${version}`);
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

/** @throws CommandError where it cannot be read */
const acceptedIn = async (file: string): Promise<Set<string>> =>
  new Set(
    (await readText(file))
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== ''),
  );
