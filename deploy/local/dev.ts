// npm run dev: the system stays up in .claviger/dev, keys and ledger included, and a service is rebuilt and restarted when its source changes.
import { writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { writeSecret } from '@claviger/installation';
import { type ServiceName, serviceNames } from '@claviger/messaging';
import { workspaceRoot } from '@claviger/testing';
import type { BuildContext, BuildOptions } from 'esbuild';
import { type Stack, type StackPrincipal, startStack } from './stack';

const principals: StackPrincipal[] = [
  { id: 'kim', kind: 'person', roles: ['key-administrator'], displayName: 'Kim, key administrator', mfa: true },
  { id: 'sam', kind: 'person', roles: ['security-officer'], displayName: 'Sam, security officer', mfa: true },
  { id: 'ada', kind: 'person', roles: ['auditor'], displayName: 'Ada, auditor' },
  { id: 'olga', kind: 'person', roles: ['operator'], displayName: 'Olga, operator' },
  { id: 'payments-api', kind: 'service', roles: ['application'], displayName: 'payments-api, an application' },
];

const root = workspaceRoot();
const dir = join(root, '.claviger/dev');
const stack = await startStack({ dir, principals, workers: 2, report: (line) => console.log(`· ${line}`) });
const watchers = await watchServices(stack);
await renewTokens(stack);
const renewal = setInterval(
  () => void renewTokens(stack).catch((error) => console.error(`tokens were not renewed: ${String(error)}`)),
  10 * 60_000,
);

console.log(`
Claviger is up and reloads a service when its source changes. Ctrl-C stops all of it; the keys and the ledger stay in .claviger/dev.

  broker    ${stack.broker.url}
  store     ${stack.storeUrl}
  logs      ${join(dir, 'logs')}
  health    ${stack.services.map((s) => `${s.child.name} ${s.healthUrl}`).join('\n            ')}

As one of ${principals.map((p) => p.id).join(', ')}, in another terminal:

  source .claviger/dev/as.sh kim      # you are kim, and claviger is the command line
  claviger keys list
`);

await new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
});
console.log('stopping…');
clearInterval(renewal);
await Promise.all(watchers.map((w) => w.dispose()));
await stack.stop();
process.exit(0);

/** Fresh first tokens of everyone, each in a file of its own, and a script that chooses among them. */
async function renewTokens({ tokens, broker, trustFile }: Stack): Promise<void> {
  const folder = join(dir, 'principals');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { mode: 0o700 });
  for (const [principal, token] of Object.entries(await tokens(principals))) writeSecret(join(folder, `${principal}.token`), token);
  writeFileSync(
    join(dir, 'as.sh'),
    `# source .claviger/dev/as.sh PRINCIPAL
export CLAVIGER_URL=${broker.url} CLAVIGER_PRINCIPAL="$1" CLAVIGER_TOKEN_FILE=${folder}/"$1".token CLAVIGER_TRUST_FILE=${trustFile} CLAVIGER_STATE_DIR=${join(dir, 'state')}
claviger() { ${process.execPath} ${join(root, 'dist/apps/cli/main.js')} "$@"; }
`,
  );
}

/** One esbuild context per service; after a rebuild its processes are drained and started anew, one after the other. */
async function watchServices({ services, restart }: Stack): Promise<BuildContext[]> {
  const { context, options } = (await import(pathToFileURL(join(root, 'tools/build.mjs')).href)) as {
    context: (o: BuildOptions) => Promise<BuildContext>;
    options: (entry: string) => BuildOptions;
  };
  return Promise.all(
    serviceNames.map(async (name: ServiceName) => {
      const buildOptions = options(`apps/${name}`);
      let first = true;
      buildOptions.plugins?.push({
        name: 'restart',
        setup(build) {
          build.onEnd(async ({ errors }) => {
            if (first || errors.length > 0) {
              first = false;
              return;
            }
            console.log(`· ${name} changed`);
            for (const service of services.filter((s) => s.name === name))
              await restart(service).catch((error) => console.error(`${name}: ${String(error)}`));
          });
        },
      });
      const watcher = await context(buildOptions);
      await watcher.watch();
      return watcher;
    }),
  );
}
