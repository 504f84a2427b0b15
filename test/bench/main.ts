// npm run bench -- SCENARIO [options]: the whole system as processes on this machine, measured from outside.
import { writeFileSync } from 'node:fs';
import { connect } from '@claviger/client';
import { temporaryFolder } from '@claviger/testing';
import { type StackPrincipal, startStack } from '../../deploy/local/stack';
import { kryopticIsMissing, kryopticLibrary } from '../conformance/tokens';
import type { Bench } from './bench';
import { decisions } from './decisions';
import { hsmScale } from './hsm-scale';
import { keyScale } from './key-scale';
import { options } from './options';
import { policyChange } from './policy-change';
import { revocation } from './revoke';
import { rewrapping } from './rewrap';
import { simulation } from './simulate';
import { suspension } from './suspension';
import { throughput } from './throughput';
import { tokenAlone } from './token-alone';
import { watchedLoops } from './worker-loops';

const person = (id: string, role: string): StackPrincipal => ({ id, kind: 'person', roles: [role] });
const callers = Array.from(
  { length: ['suspend', 'policy-change', 'revoke'].includes(options.scenario) ? 20 : options.principals },
  (_, i): StackPrincipal => ({ id: `app-${i + 1}`, kind: 'service', roles: ['application'] }),
);
const everyone = [...callers, person('kim', 'key-administrator'), person('ada', 'auditor'), person('sam', 'security-officer')];

/** A policy that reads what is different in each request, as those of a real installation do. */
const contextPolicy = `
@id("bench-tenant")
@control("none: bench")
@summary("data of tenant acme only")
forbid (principal, action in Claviger::Action::"crypto", resource is Claviger::Key)
when { context.encryptionContext.hasTag("tenant") && context.encryptionContext.getTag("tenant") != "acme" };
`;

const customerLibrary = options.token === 'kryoptic' ? kryopticLibrary() : undefined;
if (options.token === 'kryoptic' && customerLibrary === undefined) {
  console.error(`--token kryoptic: ${kryopticIsMissing}`);
  process.exit(1);
}

async function onStack<R extends object>(
  measure: (bench: Bench) => Promise<{ result: R; ok: boolean }>,
  workerEnv: Record<string, string> = {},
): Promise<{ result: R; ok: boolean }> {
  const folder = await temporaryFolder('bench');
  const env: Record<string, string> = options.profile ? { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${options.profile}` } : {};
  const report = (line: string) => console.error(`· ${line}`);
  const stack = await startStack({
    ...{ dir: folder.path, principals: everyone, morePolicies: contextPolicy, workers: options.workers },
    ...{
      env,
      serviceEnv: {
        'key-lifecycle': { REWRAP_KEYS_PER_SECOND: String(options.rate) },
        'crypto-worker': { ...workerEnv, ...(await watchedLoops(folder.path, env.NODE_OPTIONS)) },
      },
      report,
    },
    ...(customerLibrary === undefined ? {} : { customerLibrary }),
  });
  let ok = false;
  try {
    const tokens = await stack.tokens(everyone);
    const as = (id: string) =>
      connect({ servers: stack.broker.url, principal: id, credential: { token: tokens[id] as string }, timeoutMs: 15_000 });
    const [administrator, auditor, officer] = await Promise.all([as('kim'), as('ada'), as('sam')]);
    const callerTokens = Object.fromEntries(callers.map(({ id }) => [id, tokens[id] as string]));
    const measured = await measure({ stack, folder: folder.path, env, administrator, auditor, officer, callerTokens, report });
    await Promise.all([administrator.close(), auditor.close(), officer.close()]);
    ok = measured.ok;
    return measured;
  } finally {
    await stack.stop();
    if (ok) await folder.remove();
    else console.error(`logs are kept in ${folder.path}`);
  }
}

const run: () => Promise<{ result: object; ok: boolean }> =
  {
    suspend: () => onStack(suspension),
    'policy-change': () => onStack(policyChange),
    revoke: () => onStack(revocation),
    rewrap: () => onStack(rewrapping),
    token: tokenAlone,
    decisions,
    keys: () => onStack(keyScale),
    'hsm-scale': () => hsmScale(onStack),
    simulate: simulation,
  }[options.scenario] ?? (() => onStack(throughput));
const { result, ok } = await run();
if (options.json) writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
process.exit(ok ? 0 : 1);
