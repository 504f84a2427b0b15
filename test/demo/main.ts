// npm run demo [-- --stay] [--check]: the whole system on this machine, and a day in its life as a story that holds or fails.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ClavigerError, type Client, connect } from '@claviger/client';
import { writeSecret } from '@claviger/installation';
import { startTelemetry } from '@claviger/operability';
import { runCommand, temporaryFolder, until, workspaceRoot } from '@claviger/testing';
import { connect as natsConnect, tokenAuthenticator } from '@nats-io/transport-node';
import { trace } from '@opentelemetry/api';
import { type Stack, startStack } from '../../deploy/local/stack';
import { cast } from './cast';
import { must, Story } from './story';
import { drawTrace, receiveTraces } from './trace-receiver';

const { values: flags } = parseArgs({ options: { stay: { type: 'boolean', default: false }, check: { type: 'boolean', default: false } } });
const story = new Story(9);
const folder = await temporaryFolder('demo');
const traces = await receiveTraces();
process.env.OTEL_EXPORTER_OTLP_ENDPOINT = traces.endpoint;
const telemetry = await startTelemetry('demo');

let stack: Stack | undefined;
const clients: Client[] = [];
const stop = async () => {
  await Promise.all(clients.map((c) => c.close().catch(() => undefined)));
  await telemetry.shutdown();
  await stack?.stop();
  traces.close();
  await folder.remove();
};

try {
  story.title('Claviger: five services, one broker, keys in a PKCS#11 token');
  stack = await startStack({
    dir: folder.path,
    principals: Object.values(cast),
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: traces.endpoint },
    // Low enough for a burst on a small or busy machine.
    serviceEnv: { 'anomaly-detector': { RATE_SPIKE_START_UP_PER_SECOND: '150', RATE_SPIKE_MIN_PER_SECOND: '100' } },
    report: (line) => story.say(`  · ${line}`),
  });
  story.say(`  · everything is ready after ${story.elapsed()}; the broker listens on ${stack.broker.url}`);
  await tell(stack);
  story.title(`Every step held. ${story.elapsed()} in all.`);
  if (flags.stay) await stay(stack);
  else if (!flags.check)
    story.say(
      '\nWhat next: `npm run demo -- --stay` leaves it running; `npm run dev` keeps it up with live reload;\n`npm run bench -- encrypt` measures it; README.md shows the first steps as a service, an operator and an auditor.',
    );
  await stop();
  process.exit(0);
} catch (error) {
  console.error(`\nThe demo failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  for (const { name, child } of stack?.services ?? [])
    console.error(`--- last lines of ${name}\n${child.logs().split('\n').slice(-6).join('\n')}`);
  await stop();
  process.exit(1);
}

async function tell({ broker, tokens: issue, trustFile }: Stack): Promise<void> {
  const tokens = await issue(Object.values(cast));
  const as = async (id: string) => {
    const client = await connect({ servers: broker.url, principal: id, credential: { token: tokens[id] as string }, timeoutMs: 15_000 });
    clients.push(client);
    return client;
  };
  const [kim, payments, sam, ada] = await Promise.all([as(cast.kim.id), as(cast.payments.id), as(cast.sam.id), as(cast.ada.id)]);
  const context = { tenant: 'acme', purpose: 'archive' };

  const { aes, ec } = await story.act('Kim, the key administrator, creates two keys', async (line) => {
    const consumers = [cast.payments.id, cast.orders.id];
    const created = {
      aes: await kim.keys.create({ name: 'payments/archive', algorithm: 'AES_256', consumers }),
      ec: await kim.keys.create({ name: 'payments/receipts', algorithm: 'EC_P256', consumers }),
    };
    line(story.good(`${created.aes.keyId}: AES-256, made inside the token, stored only wrapped`));
    line(story.good(`${created.ec.keyId}: EC P-256; its private half has never been outside either`));
    return created;
  });

  const file = readFileSync(join(workspaceRoot(), 'package.json'));
  const sealed = await story.act('payments-api seals a real file (package.json) and opens it again', async (line) => {
    const text = await payments.seal(aes.keyId, file, { context });
    must(Buffer.from(await payments.open(aes.keyId, text, { context })).equals(file), 'the file came back different');
    line(story.good(`${file.length} bytes sealed under a data key that only Claviger can unwrap (JWE), opened and compared`));
    const wrong = await codeOf(payments.open(aes.keyId, text, { context: { ...context, tenant: 'other' } }));
    must(wrong === 'ERR_DECRYPTION_FAILED', `another tenant's context gave ${wrong}`);
    line(story.refused(`with another encryption context: ${wrong}`));
    return text;
  });

  await story.act('…signs it and verifies the signature', async (line) => {
    const { signature } = await payments.crypto.sign({ keyId: ec.keyId, message: file });
    must((await payments.crypto.verify({ keyId: ec.keyId, message: file, signature })).valid, 'the signature does not verify');
    must(
      !(await payments.crypto.verify({ keyId: ec.keyId, message: Buffer.concat([file, Buffer.from(' ')]), signature })).valid,
      'a changed file verifies',
    );
    line(story.good('ES256 signature made in the token; it verifies, and not for a file with one more space'));
  });

  await story.act('Whoever may not, cannot', async (line) => {
    const ciphertext = (await payments.crypto.encrypt({ keyId: aes.keyId, plaintext: Buffer.from('42'), context })).ciphertext;
    const denied = await codeOf(kim.crypto.decrypt({ keyId: aes.keyId, ciphertext, context }));
    must(denied === 'ERR_ACCESS_DENIED', `the key administrator got ${denied}`);
    line(story.refused(`Kim, who made the key, may not decrypt with it: ${denied}`));
    const violation = await speakAs(broker.url, cast.orders.id, tokens[cast.orders.id] as string, payments);
    must(/permissions violation/i.test(violation), `speaking as another gave: ${violation}`);
    line(story.refused(`orders-api may not speak on a subject of payments-api; the broker says: ${violation}`));
  });

  await story.act('Kim rotates the key; what was sealed before still opens', async (line) => {
    const { key, confirmed } = await kim.keys.rotate({ keyId: aes.keyId, reason: 'demo' });
    must(confirmed && key.primaryVersion === 2, 'the rotation was not confirmed');
    must(Buffer.from(await payments.open(aes.keyId, sealed, { context })).equals(file), 'the old file does not open');
    const { version } = await payments.crypto.encrypt({ keyId: aes.keyId, plaintext: Buffer.from('new'), context });
    must(version === 2, `a new ciphertext is of version ${version}`);
    line(story.good('version 2 encrypts, version 1 still decrypts'));
  });

  await story.act('Sam, the security officer, suspends the key: refused everywhere within milliseconds', async (line) => {
    let lastSuccess = 0;
    let refusal = '';
    let running = true;
    const hammer = (async () => {
      while (running) {
        const code = await codeOf(payments.crypto.encrypt({ keyId: aes.keyId, plaintext: Buffer.from('x') }));
        if (code === 'OK') lastSuccess = performance.now();
        else {
          refusal = code;
          break;
        }
      }
    })();
    await payments.crypto.encrypt({ keyId: aes.keyId, plaintext: Buffer.from('x') });
    const asked = performance.now();
    const { confirmed, workers } = await sam.keys.suspend({ keyId: aes.keyId, reason: 'demo: suspected misuse' });
    const confirmedAfter = performance.now() - asked;
    await until(() => refusal !== '', { what: 'a refusal', timeoutMs: 5_000 });
    running = false;
    await hammer;
    must(confirmed && refusal === 'ERR_KEY_SUSPENDED', `confirmed ${confirmed}, then ${refusal}`);
    line(
      story.refused(
        `last success ${Math.max(0, lastSuccess - asked).toFixed(0)} ms after the command, confirmed by ${workers.length} worker(s) after ${confirmedAfter.toFixed(0)} ms, then ${refusal}`,
      ),
    );
    await sam.keys.resume({ keyId: aes.keyId, reason: 'demo: cleared' });
    line(story.good('and resumed'));
  });

  await story.act('orders-api suddenly bursts; the detector raises an alert to whoever subscribed', async (line) => {
    const orders = await as(cast.orders.id);
    const notices = sam.watchAlerts();
    const alert = (async () => {
      for await (const { alert: raised } of notices)
        if (raised?.principal === cast.orders.id && raised.detector === 'rate-spike-principal') return raised;
      throw new Error('the subscription ended');
    })();
    const payload = randomBytes(256);
    const raised = { value: undefined as Awaited<typeof alert> | undefined };
    void alert.then(
      (value) => (raised.value = value),
      () => undefined,
    );
    let sent = 0;
    const deadline = performance.now() + 45_000;
    const burst = async () => {
      while (!raised.value && performance.now() < deadline) {
        await orders.crypto.encrypt({ keyId: aes.keyId, plaintext: payload });
        sent++;
      }
    };
    await Promise.all(Array.from({ length: 64 }, burst));
    must(raised.value !== undefined, `${sent} requests raised no alert`);
    line(story.good(`after ${sent} requests: ${raised.value.severity} alert "${raised.value.title}"`));
    line(`   expected ${raised.value.expected}`);
    line(`   seen     ${raised.value.seen}`);
    await sam.alerts.acknowledge({ alertId: raised.value.alertId, note: 'demo' });
    line(story.good('acknowledged by Sam'));
  });

  await story.act('Ada, the auditor, verifies the whole ledger from its signed checkpoint', async (line) => {
    const tokenFile = join(folder.path, 'ada.token');
    writeSecret(tokenFile, tokens[cast.ada.id] as string);
    line('$ claviger audit verify');
    const { stdout } = await runCommand(
      process.execPath,
      [join(workspaceRoot(), 'dist/apps/cli/main.js'), 'audit', 'verify', '--state-file', join(folder.path, 'verified.json')],
      {
        env: {
          ...process.env,
          CLAVIGER_URL: broker.url,
          CLAVIGER_PRINCIPAL: cast.ada.id,
          CLAVIGER_TOKEN_FILE: tokenFile,
          CLAVIGER_TRUST_FILE: trustFile,
        },
      },
    );
    for (const text of stdout.trim().split('\n')) line(text);
    line(story.good('every leaf, batch signature and chain, checked with public keys only'));
    const denials = await ada.audit.query({ outcome: 'denied', limit: 100 });
    must(
      denials.records.some(({ record }) => record.principal === cast.kim.id && record.action === 'crypto:Decrypt'),
      "Kim's denied decrypt is not in the ledger",
    );
    line(story.good(`the refusals are in it too: ${denials.records.length} denials so far`));
  });

  await story.act("One request's way through the services", async (line) => {
    const traceId = await trace.getTracer('demo').startActiveSpan('demo encrypt', async (span) => {
      await payments.crypto.encrypt({ keyId: aes.keyId, plaintext: Buffer.from('traced'), context });
      span.end();
      return span.spanContext().traceId;
    });
    const services = await until(
      () => {
        const seen = new Set(traces.spansOf(traceId).map((s) => s.service));
        return ['demo', 'crypto-worker', 'audit', 'anomaly-detector'].every((s) => seen.has(s)) && seen;
      },
      { what: 'spans of worker, audit and detector', timeoutMs: 20_000 },
    );
    for (const text of drawTrace(traces.spansOf(traceId))) line(text);
    line(story.good(`trace ${traceId} over ${services.size} services; the same id is in the ledger's record`));
  });
}

/** Tries to publish on a subject of somebody else; gives what the broker said. */
async function speakAs(url: string, principal: string, token: string, victim: Client): Promise<string> {
  const session = randomBytes(32)
    .toString('base64')
    .replaceAll(/[^A-Za-z0-9]/g, '')
    .slice(0, 22);
  const connection = await natsConnect({
    servers: url,
    authenticator: tokenAuthenticator(token),
    name: session,
    inboxPrefix: `_INBOX.${principal}.${session}`,
    reconnect: false,
  });
  try {
    const heard = new Promise<string>((resolve) => {
      void (async () => {
        for await (const status of connection.status()) if (status.type === 'error') resolve(status.error.message);
      })();
    });
    connection.publish(`claviger.v1.${victim.principal}.${victim.session}.crypto.decrypt`, '{}');
    await connection.flush();
    return await Promise.race([heard, new Promise<string>((resolve) => setTimeout(() => resolve('nothing'), 5_000))]);
  } finally {
    await connection.close();
  }
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'OK';
  } catch (error) {
    return error instanceof ClavigerError ? error.code : String(error);
  }
}

async function stay({ broker, trustFile }: Stack): Promise<void> {
  story.say(`\nIt stays up. Broker ${broker.url}, public keys ${trustFile}. Ctrl-C stops all of it.`);
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}
