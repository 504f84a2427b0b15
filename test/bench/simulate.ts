import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { temporaryFolder, workspaceRoot } from '@claviger/testing';
import { options } from './options';

const services = 2_000;
const consumersOfKey = 60;
const actions = ['crypto:Encrypt', 'crypto:Decrypt', 'crypto:Sign', 'crypto:Verify'] as const;
const dayMs = 86_400_000;

/** Scenario `simulate`: `claviger policy simulate` over an export of so many records, in which every principal, key and tenant is another question. */
export async function simulation() {
  const { records, threads } = options;
  const folder = await temporaryFolder('simulate');
  try {
    const candidate = join(folder.path, 'candidate');
    const ledger = join(folder.path, 'ledger');
    writeCandidate(candidate);
    const keyCount = 2_000;
    const questions = await writeLedger(ledger, records, keyCount);
    const begun = performance.now();
    const args = [
      '--json',
      'policy',
      'simulate',
      candidate,
      '--from',
      ledger,
      '--days',
      '30',
      ...(threads ? ['--threads', String(threads)] : []),
    ];
    const child = spawn(process.execPath, [join(workspaceRoot(), 'dist/apps/cli/main.js'), ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (part) => {
      text += part;
    });
    const [code] = (await once(child, 'close')) as [number];
    const seconds = (performance.now() - begun) / 1_000;
    const found = JSON.parse(text || '{}') as { decisions: number; distinct: number; changed: unknown[]; undecidable: { count: number }[] };
    const result = {
      ...{ records, decisions: found.decisions, distinctQuestions: questions, putToCedar: found.distinct, changed: found.changed?.length },
      undecidable: found.undecidable?.reduce((sum, { count }) => sum + count, 0),
      seconds: Math.round(seconds * 10) / 10,
    };
    console.log(`policy simulate: ${JSON.stringify(result)}`);
    return { result, ok: code === 0 && found.decisions >= records * 0.9 };
  } finally {
    await folder.remove();
  }
}

/** The starter set, but tenant acme alone decrypts in production, and only with what was opened as one of its services. */
function writeCandidate(folder: string): void {
  cpSync(join(workspaceRoot(), 'deploy/policies/starter'), folder, { recursive: true });
  writeFileSync(
    join(folder, 'policies.cedar'),
    `
@id("bench-tenant") @control("none: bench") @summary("only tenant-1 decrypts in production")
forbid (principal, action == Claviger::Action::"crypto:Decrypt", resource is Claviger::Key)
when { resource.environment == "production" && !(context.encryptionContext.hasTag("tenant") && context.encryptionContext.getTag("tenant") == "tenant-1") };
`,
    { flag: 'a' },
  );
  const principals = Array.from({ length: services }, (_, n) => ({
    ...{ id: `app-${n}`, kind: 'service', roles: ['application'], disabled: false, revision: 1, identities: [{ kind: 'token' }] },
  }));
  writeFileSync(join(folder, 'principals.json'), JSON.stringify(principals));
}

async function writeLedger(folder: string, records: number, keyCount: number): Promise<number> {
  const consumersOf = (key: number) => Array.from({ length: consumersOfKey }, (_, n) => `app-${(key * 7 + n * 13) % services}`);
  mkdirSync(folder, { recursive: true });
  const keys = Array.from({ length: keyCount }, (_, n) => ({
    ...{ keyId: keyIdOf(n), revision: 3, environment: n % 2 ? 'production' : 'staging', classification: 'confidential', owner: 'owen' },
    ...{ consumers: consumersOf(n), createdBy: 'kim', algorithm: 'AES_256', usage: 'encrypt', tags: {} },
  }));
  writeFileSync(join(folder, 'keys.json'), JSON.stringify(keys));
  const out = createWriteStream(join(folder, 'leaves-000000000000.jsonl'));
  const beginMs = Date.now() - 20 * dayMs;
  const questions = new Set<string>();
  for (let n = 0; n < records; n += 1) {
    const key = n % keyCount;
    const round = Math.floor(n / keyCount);
    const principal = consumersOf(key)[round % consumersOfKey]!;
    const action = actions[round % actions.length]!;
    questions.add(`${principal} ${action} ${key} ${round % 3}`);
    const line = JSON.stringify({
      ...{ kind: 'operation', id: `bench.${n}`, time: new Date(beginMs + n).toISOString(), service: 'crypto-worker', action, principal },
      ...{ session: `s_${principal}`, ip: 'commitment', mfa: false, keyId: keyIdOf(key), version: 1, outcome: 'success' },
      ...{ context: { tenant: `tenant-${round % 3}`, document: String(n) }, policies: ['application-uses-its-keys'] },
      ...{ revisions: { key: 3, session: 1, bundle: 1 }, bytes: 1_024 },
    });
    if (!out.write(`${line}\n`)) await once(out, 'drain');
  }
  out.end();
  await finished(out);
  return questions.size;
}

const keyIdOf = (n: number): string => `k_${String(n).padStart(22, '0')}`;
