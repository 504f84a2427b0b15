import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { layout, tokenOf } from '@claviger/installation';
import { type ServiceName, serviceNames } from '@claviger/messaging';
import { install, readMachine, runCommand, type TemporaryFolder, temporaryFolder, workspaceRoot } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

let folder: TemporaryFolder;
let place: ReturnType<typeof layout>;

beforeAll(async () => {
  folder = await temporaryFolder('configuration');
  ({ place } = await install(join(folder.path, 'installation')));
  mkdirSync(join(folder.path, 'files'));
});
afterAll(() => folder.remove());

/** Recognisable wherever it should not turn up. */
const marker = 'value-of-a-variable';

/** A file with this text, readable by its owner only. */
function file(name: string, text: string): string {
  const path = join(folder.path, 'files', name);
  writeFileSync(path, text);
  chmodSync(path, 0o600);
  return path;
}

const complete = (name: ServiceName): Record<string, string> => {
  const token = tokenOf[name];
  return {
    PATH: process.env.PATH as string,
    NODE_COMPILE_CACHE: join(workspaceRoot(), '.claviger/compile-cache'),
    LOG_FORMAT: 'json',
    // Nobody listens there: what is wrong must be found before a broker is needed.
    NATS_URL: 'nats://127.0.0.1:9',
    NATS_NKEY_FILE: place.nkeyFile(name),
    TRUST_FILE: place.trustFile,
    PKCS11_LIBRARY: readMachine().pkcs11.libraryPath,
    SOFTHSM2_CONF: place.softhsmConf(token),
    HSM_TOKEN_LABEL: token,
    HSM_PIN_FILE: place.pinFile(token),
    ...(name === 'crypto-worker' ? {} : { MONGODB_URL: 'mongodb://127.0.0.1:9' }),
    ...(name === 'policy'
      ? { CALLOUT_ISSUER_FILE: place.nkeyFile('calloutIssuer'), CALLOUT_XKEY_FILE: place.nkeyFile('calloutXkey') }
      : {}),
  };
};

type Environment = Record<string, string | undefined>;

async function start(name: ServiceName, env: Environment) {
  const program = join(workspaceRoot(), `dist/apps/${name}/main.js`);
  const { code, stdout, stderr } = await runCommand(process.execPath, [program], { env, allowFailure: true, timeoutMs: 60_000 });
  const output = stdout + stderr;
  const secrets = [marker, readFileSync(place.pinFile(tokenOf[name]), 'utf8').trim(), readFileSync(place.nkeyFile(name), 'utf8').trim()];
  return { code, output, leaked: secrets.filter((text) => output.includes(text)) };
}

/** Variables that a service cannot do without. */
const required = (name: ServiceName) => Object.keys(complete(name)).filter((v) => /^(NATS|TRUST|PKCS11|HSM|MONGODB|CALLOUT)_/.test(v));

test.each(serviceNames)('%s: without its variables it ends at start with exit code 78 and names each of them', async (name) => {
  const { code, output } = await start(name, { PATH: process.env.PATH });
  expect({ code, unnamed: required(name).filter((v) => !output.includes(`${v} is not set`)) }).toEqual({ code: 78, unnamed: [] });
});

test.each(serviceNames)('%s: wrong values end it at start with exit code 78 and their names, and are not repeated', async (name) => {
  const wrong: Environment = {
    NATS_URL: `https://user:${marker}@127.0.0.1`,
    NATS_NKEY_FILE: file('nkey', marker),
    HEALTH_PORT: marker,
    WORKER_ID: `${marker}.>`,
    ...(name === 'crypto-worker'
      ? { UNWRAPPED_KEYS_MAX: '1e99', REQUESTS_IN_FLIGHT_MAX: marker, HSM_ANSWER_SECONDS: marker }
      : { MONGODB_URL: `postgres://user:${marker}@127.0.0.1` }),
    ...(name === 'key-lifecycle' ? { MONGODB_DATABASE: `../${marker}`, DUE_SWEEP_SECONDS: marker, STORE_CHECK_SECONDS: '0' } : {}),
    ...(name === 'policy' ? { CALLOUT_ISSUER_FILE: file('issuer', marker), CALLOUT_XKEY_FILE: place.nkeyFile('calloutIssuer') } : {}),
    ...(name === 'audit' ? { CHECKPOINT_EVERY_MS: '1', PERSONAL_RETENTION_DAYS: marker } : {}),
    ...(name === 'anomaly-detector' ? { RATE_SPIKE_TIMES_EXPECTED: marker, SERIES_MAX: '-5' } : {}),
  };
  const { code, output, leaked } = await start(name, { ...complete(name), ...wrong });
  expect({ code, leaked, unnamed: Object.keys(wrong).filter((v) => !output.includes(v)) }).toEqual({ code: 78, leaked: [], unnamed: [] });
});

const missing = () => join(folder.path, marker);
const files: { variable: string; what: string; value: () => string; of?: ServiceName }[] = [
  { variable: 'NATS_NKEY_FILE', what: 'no such file', value: missing },
  { variable: 'TRUST_FILE', what: 'no such file', value: missing },
  { variable: 'TRUST_FILE', what: 'not JSON', value: () => file('trust', marker) },
  { variable: 'TRUST_FILE', what: 'other JSON', value: () => file('trust', JSON.stringify({ format: marker })) },
  { variable: 'PKCS11_LIBRARY', what: 'no such file', value: missing },
  { variable: 'PKCS11_LIBRARY', what: 'no library', value: () => file('library', marker) },
  { variable: 'HSM_TOKEN_LABEL', what: 'no such token', value: () => marker },
  { variable: 'HSM_PIN_FILE', what: 'no such file', value: missing },
  { variable: 'HSM_PIN_FILE', what: 'another PIN', value: () => file('pin', marker) },
  { variable: 'HSM_PIN_FILE', what: 'another PIN', value: () => file('pin', marker), of: 'policy' },
  { variable: 'CALLOUT_XKEY_FILE', what: 'no such file', value: missing, of: 'policy' },
  { variable: 'OIDC_ISSUERS_FILE', what: 'not JSON', value: () => file('oidc', marker), of: 'policy' },
];

test.each(files)('$variable, $what: exit code 78 and its name, never what it holds', async ({ variable, value, of = 'crypto-worker' }) => {
  const { code, output, leaked } = await start(of, { ...complete(of), [variable]: value() });
  expect({ code, named: output.includes(variable), leaked }).toEqual({ code: 78, named: true, leaked: [] });
});
