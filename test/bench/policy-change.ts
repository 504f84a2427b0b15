import { jetstreamManager } from '@nats-io/jetstream';
import { type Bench, startGenerator } from './bench';
import { lastRecordedSuccess, quantiles, quantilesText } from './last-success';
import { options } from './options';
import type { SuspendOrders } from './suspend-load';

const forbidding = (keyId: string) => `
@id("bench-forbidden")
@control("none: bench")
@summary("nobody encrypts with the key of the bench")
forbid (principal, action == Claviger::Action::"crypto:Encrypt", resource == Claviger::Key::"${keyId}");
`;

/**
 * Scenario `policy-change`: a bundle that forbids what callers do all the time is published, and then the one before. Measured: from the command, from the
 * moment at which the broker has the new bundle on disk, and from the reply, to the last success that any worker recorded.
 */
export async function policyChange({ stack, env, administrator, auditor, officer, callerTokens }: Bench) {
  const { concurrency, trials, workers } = options;
  const consumers = Object.keys(callerTokens);
  const { keyId } = await administrator.keys.create({ name: 'bench-policy', algorithm: 'AES_256', consumers });
  const { revision: first, publishedAt: _, ...allowing } = (await officer.policy.show()).bundle;
  const forbidden = { ...allowing, policies: `${allowing.policies}\n${forbidding(keyId)}` };
  const orders: SuspendOrders = {
    ...{ url: stack.broker.url, tokens: callerTokens, keyId, concurrency, payloadBytes: 1_024 },
    refusal: 'ERR_ACCESS_DENIED',
  };
  const load = await startGenerator('suspend-load', orders, env);
  const broker = await stack.broker.connection('provisionerCore');
  const streams = await jetstreamManager(broker);
  const stored = async () =>
    (await streams.streams.getMessage('KV_policy', { last_by_subj: '$KV.policy.bundle' }))?.time.getTime() ?? Number.NaN;
  const [fromCommand, inBucket, fromStored]: [number[], number[], number[]] = [[], [], []];
  const [published, fromReply]: [number[], number[]] = [[], []];
  let revision = first;
  try {
    for (let trial = 0; trial < trials; trial++) {
      await load.waitForLog(new RegExp(`^loaded ${trial + 1}\\.$`, 'm'), 60_000);
      const from = new Date(Date.now() - 1).toISOString();
      const askedAt = Date.now();
      ({ revision } = await officer.policy.publish({ basedOn: revision, bundle: forbidden, reason: `trial ${trial}` }));
      const repliedAt = Date.now();
      const last = await lastRecordedSuccess(auditor, { keyId, action: 'crypto:Encrypt' }, from, repliedAt);
      fromCommand.push(last === undefined ? 0 : Math.max(0, last - askedAt));
      const storedAt = await stored();
      fromStored.push(last === undefined ? 0 : Math.max(0, last - storedAt));
      inBucket.push(storedAt - askedAt);
      fromReply.push(last === undefined ? 0 : Math.max(0, last - repliedAt));
      published.push(repliedAt - askedAt);
      ({ revision } = await officer.policy.publish({ basedOn: revision, bundle: allowing, reason: `trial ${trial}` }));
      load.signal('SIGUSR2');
    }
  } finally {
    await load.stop(20_000);
    await broker.close();
  }
  const result = {
    ...{ trials, workers, concurrency },
    lastSuccessMs: quantiles(fromCommand),
    inBucketMs: quantiles(inBucket),
    lastSuccessAfterBucketMs: quantiles(fromStored),
    publishedMs: quantiles(published),
    lastSuccessAfterReplyMs: quantiles(fromReply),
    otherErrors: Number(/^other errors (\d+)\.$/m.exec(load.logs())?.[1] ?? Number.NaN),
  };
  console.log(`policy-change: ${trials} trials, concurrency ${concurrency}, ${workers} worker(s)`);
  console.log(`  last recorded success after the command:    ${quantilesText(result.lastSuccessMs)}`);
  console.log(`  in the bucket, on disk, after the command:  ${quantilesText(result.inBucketMs)}`);
  console.log(`  last recorded success after that:           ${quantilesText(result.lastSuccessAfterBucketMs)}`);
  console.log(`  answered after the command:                 ${quantilesText(result.publishedMs)}`);
  console.log(`  last recorded success after the answer:     ${quantilesText(result.lastSuccessAfterReplyMs)}`);
  console.log(`  other errors of the load: ${result.otherErrors}`);
  return { result, ok: result.otherErrors === 0 };
}
