// Images of the servers that this machine has, so that container tests need no image registry: `docker import` of the binary with its libraries, or of a root folder.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runCommand } from './children';
import { docker } from './docker';
import { readMachine } from './machine';
import { workspaceRoot } from './workspace';

const isHere = (image: string) =>
  docker(['image', 'inspect', image]).then(
    () => true,
    () => false,
  );

const digest = async (file: string) =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
    .slice(0, 12);

/** A tar made by `tarArgs` becomes `image`. */
async function importTar(image: string, tarArgs: readonly string[], changes: readonly string[]): Promise<void> {
  const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const change = changes.map((line) => `--change ${quote(line)}`).join(' ');
  await runCommand('/bin/sh', ['-c', `tar -c ${tarArgs.map(quote).join(' ')} | docker import ${change} - ${quote(image)}`], {
    timeoutMs: 300_000,
  });
}

/** Shared libraries of a dynamic binary, as absolute paths; none for a static one. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout, code } = await runCommand('ldd', [program], { allowFailure: true });
  return code === 0 ? [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path]) => path as string) : [];
}

/** The nats-server of this machine. Its configuration is mounted or given as arguments. */
export async function natsImage(): Promise<string> {
  const { nats } = readMachine();
  if (nats.kind !== 'binary') throw new Error('NATS_URL is set: container tests need a nats-server binary');
  const image = `claviger-local/nats-server:${await digest(nats.path)}`;
  if (await isHere(image)) return image;
  const libraries = await librariesOf(nats.path);
  // -h: what a library's name links to, under that name.
  const files = [
    '-h',
    '--transform',
    's,.*/nats-server$,usr/bin/nats-server,',
    '-C',
    '/',
    nats.path.slice(1),
    ...libraries.map((path) => path.slice(1)),
  ];
  await importTar(image, files, ['ENTRYPOINT ["/usr/bin/nats-server"]']);
  return image;
}

/** FerretDB with its PostgreSQL and a prepared cluster; or the image that the set-up chose. */
export async function storeImage(): Promise<string> {
  const { store } = readMachine();
  if (store.kind === 'docker') return store.image;
  if (store.kind !== 'ferretdb') throw new Error(`no image can be made of a document store of kind ${store.kind}`);
  const script = join(workspaceRoot(), 'libs/testing/src/store-container.sh');
  const image = `claviger-local/document-store:${await digest(store.ferretdb)}-${await digest(script)}`;
  if (await isHere(image)) return image;
  const renames = ['s,^ferretdb$,usr/bin/ferretdb,rSH', 's,^store-container.sh$,usr/bin/store-container.sh,rSH', 's,^pg,data/pg,rSH'];
  await importTar(
    image,
    [
      ...renames.flatMap((rename) => ['--transform', rename]),
      ...[
        '--exclude=./dev/*',
        '-C',
        store.root,
        '.',
        '-C',
        dirname(store.ferretdb),
        'ferretdb',
        '-C',
        dirname(script),
        'store-container.sh',
        '-C',
        store.cluster,
        'pg',
      ],
    ],
    ['ENTRYPOINT ["/bin/sh", "/usr/bin/store-container.sh"]'],
  );
  return image;
}
