import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type AuthorizationRequest, CedarThread, Evaluator } from '@claviger/authz';
import { type PolicyBundle, type Principal, pack, type Role } from '@claviger/contracts';
import { largeBundle, readMachine, workspaceRoot } from '@claviger/testing';
import { options } from './options';

const folder = join(workspaceRoot(), 'deploy/policies/starter');
const read = (name: string) => readFileSync(join(folder, name), 'utf8');
const starter = { policies: read('policies.cedar'), schema: read('schema.cedarschema'), roles: JSON.parse(read('roles.json')) as Role[] };

const nowMs = Date.parse('2026-06-01T12:00:00.000Z');
const keysPerTeam = 20;

/** A service uses a key of its team with a context of its own; `n` tells the questions apart. */
function question(services: readonly Principal[], n: number): AuthorizationRequest {
  const { id, roles } = services[n % services.length]!;
  const team = roles[1]!;
  const keyNo = n % keysPerTeam;
  return {
    principalId: id,
    action: (['crypto:Encrypt', 'crypto:Decrypt', 'crypto:Sign', 'crypto:GenerateMac'] as const)[n % 4]!,
    resource: {
      type: 'Key',
      id: `k_${team}${keyNo}`.padEnd(24, '0'),
      revision: 1,
      attrs: {
        ...{ environment: 'production', classification: 'confidential', owner: 'person-0', consumers: [id], algorithm: 'AES_256' },
        ...{ usage: 'encrypt-decrypt', createdBy: 'person-3', tags: { team, purpose: `p${keyNo}` } },
      },
    },
    context: { mfa: false, authMethod: 'certificate', nowMs, sessionAgeSeconds: n % 3_600, encryptionContext: { order: String(n) } },
  };
}

const quantile = (sorted: readonly number[], q: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
const micros = (ns: bigint) => Number(ns) / 1_000;

interface Spread {
  count: number;
  p50: number;
  p99: number;
  max: number;
}

/** In microseconds, each by itself. */
function timed(evaluator: Evaluator, questions: readonly AuthorizationRequest[]): Spread {
  const times = questions.map((one) => {
    const began = process.hrtime.bigint();
    evaluator.decide(one);
    return micros(process.hrtime.bigint() - began);
  });
  const sorted = times.sort((a, b) => a - b);
  return { count: sorted.length, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: sorted.at(-1) ?? 0 };
}

/** How long it takes, and how long the event loop was held at most meanwhile: what a request would have waited. Milliseconds. */
async function swapped(load: () => Promise<unknown>): Promise<{ ms: number; heldMs: number }> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const began = performance.now();
  await load();
  const ms = performance.now() - began;
  delay.disable();
  return { ms, heldMs: delay.max / 1e6 };
}

/** `decisions`: the evaluator alone, in this process, with a set of `--policies` and `--principals` that is the same each time. */
export async function decisions(): Promise<{ result: object; ok: boolean }> {
  const size = { policies: options.policies, principals: options.principals };
  const first = largeBundle(starter, size);
  const text = JSON.stringify(first);
  const thread = new CedarThread();
  const evaluator = new Evaluator();
  const memory = () => Math.round(process.memoryUsage().rss / 1_048_576);
  /** As it comes by a view: it is packed before the clock starts. */
  const load = (bundle: PolicyBundle) => {
    const arrived = pack(JSON.stringify(bundle));
    return swapped(async () => {
      const loaded = await evaluator.loadBeside(arrived, thread);
      if (!loaded.ok) throw new Error(loaded.issues.map(({ message }) => message).join('; '));
    });
  };
  const packed = pack(text);
  const before = memory();
  const swaps: Record<string, { ms: number; heldMs: number }> = {};
  swaps.first = await load(first);
  const loadedMb = memory();

  const count = 10_000;
  const services = first.principals.filter(({ kind, disabled }) => kind === 'service' && !disabled);
  const warm = Array.from({ length: count }, (_, n) => question(services, n));
  const misses = timed(evaluator, warm);
  // Somebody else, other attributes: nothing of it is remembered, and its parts are parsed.
  const again = timed(
    evaluator,
    warm.map((one) =>
      one.resource.type === 'Key'
        ? { ...one, resource: { ...one.resource, attrs: { ...one.resource.attrs, classification: 'internal' } } }
        : one,
    ),
  );
  for (let round = 0; round < 5; round++) timed(evaluator, warm);
  const hits = timed(evaluator, warm);
  const { remembered, evaluated } = evaluator.counts;

  const renamed = first.principals.map((one, n) => (n === 7 ? { ...one, disabled: true, revision: one.revision + 1 } : one));
  swaps['one principal'] = await load({ ...first, revision: 2, principals: renamed });
  const edited = first.policies.replace('purpose 5"', 'purpose five"').replace('== "p5"', '== "p-five"');
  swaps['one policy'] = await load({ ...first, revision: 3, principals: renamed, policies: edited });
  const kept = timed(evaluator, warm);
  const keptShare = 1 - (evaluator.counts.evaluated - evaluated) / count;
  swaps['schema and all policies'] = await load({
    ...first,
    revision: 4,
    schema: `${first.schema}\n// another text`,
    policies: edited.replaceAll('@summary("', '@summary("the '),
  });
  await thread.stop();

  const result = {
    machine: readMachine(),
    set: { ...size, jsonBytes: Buffer.byteLength(text), deflatedBytes: Math.floor((packed.deflated.length * 3) / 4) },
    ...{ hits, misses, again, kept: { ...kept, share: keptShare }, remembered, evaluated, swaps },
    memoryMb: { before, loaded: loadedMb, end: memory() },
  };
  const row = (name: string, { count: n, p50, p99, max }: Spread) =>
    `${name.padEnd(44)} ${String(n).padStart(7)} ${p50.toFixed(1).padStart(9)} ${p99.toFixed(1).padStart(9)} ${max.toFixed(1).padStart(9)}`;
  console.log(
    `${size.policies} policies, ${size.principals} principals: ${result.set.jsonBytes} bytes of JSON, ${result.set.deflatedBytes} deflated`,
  );
  console.log(`${'decisions'.padEnd(44)} ${'count'.padStart(7)} ${'p50 µs'.padStart(9)} ${'p99 µs'.padStart(9)} ${'max µs'.padStart(9)}`);
  console.log(row('remembered', hits));
  console.log(row('evaluated, first use of principal and parts', misses));
  console.log(row('evaluated', again));
  console.log(row(`after one policy changed (${(keptShare * 100).toFixed(1)} % remembered)`, kept));
  for (const [name, { ms, heldMs }] of Object.entries(swaps))
    console.log(`load, ${name}: ${ms.toFixed(0)} ms, event loop held at most ${heldMs.toFixed(1)} ms`);
  console.log(`resident memory: ${before} MiB before, ${loadedMb} MiB with the set, ${result.memoryMb.end} MiB at the end`);
  return { result, ok: hits.p50 <= 5 && again.p50 <= 2_000 };
}
