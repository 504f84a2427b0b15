import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** A wrong or missing variable: the process must not start. The message names the variable and the rule, never the value. */
export class ConfigurationError extends Error {
  constructor(problems: string[]) {
    super(`configuration: ${problems.join('; ')}`);
    this.name = 'ConfigurationError';
  }
}

/** Reads the environment through a schema whose keys are the variables' names. */
export function readConfiguration<S extends z.ZodObject>(schema: S, environment: NodeJS.ProcessEnv = process.env): z.output<S> {
  const given = Object.fromEntries(
    Object.keys(schema.shape).map((name) => [name, environment[name] === '' ? undefined : environment[name]]),
  );
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new ConfigurationError(
    parsed.error.issues.map((issue) => {
      const name = String(issue.path[0]);
      return given[name] === undefined
        ? `${name} is not set: ${schema.shape[name]?.description ?? 'it is required'}`
        : `${name} ${issue.message}`;
    }),
  );
}

/** A file that holds an nkey seed (`SU…` a user's, `SA…` an account's, `SX…` a curve key's): looked into at start, long before it is needed. */
export const seedFile = (prefix: 'SU' | 'SA' | 'SX', description: string) =>
  z
    .string()
    .superRefine((file, context) => {
      try {
        const isSeed = new RegExp(`^${prefix}[A-Z2-7]{56}$`).test(readFileSync(file, 'utf8').trim());
        if (!isSeed) context.addIssue(`must be a file that holds an nkey seed, ${prefix}…`);
      } catch (error) {
        context.addIssue(`cannot be read (${(error as NodeJS.ErrnoException).code})`);
      }
    })
    .describe(description);

/** What every service needs; each adds its own. */
export const commonConfiguration = {
  NATS_URL: z
    .string()
    .regex(/^(nats|tls):\/\//, 'must start with nats:// or tls://')
    .describe('URL of the broker, such as nats://127.0.0.1:4222'),
  NATS_NKEY_FILE: seedFile('SU', 'file with the nkey seed of this service in the CORE account'),
  NATS_TLS_CA_FILE: z.string().optional(),
  NATS_TLS_CERT_FILE: z.string().optional(),
  NATS_TLS_KEY_FILE: z.string().optional(),
  TRUST_FILE: z.string().describe('trust.json: the public keys that the key ceremony wrote'),
  /** A process that starts accepts no high-water mark older than this; owners sign a new one every minute. Raise it to start workers while key-lifecycle or policy is away. */
  STATE_MARK_MAX_AGE_SECONDS: z.coerce.number('must be a whole number').int().min(120).max(604_800).default(900),
  HEALTH_PORT: z.coerce.number('must be a port number').int().min(0).max(65_535).default(0),
  HEALTH_HOST: z.string().default('127.0.0.1'),
  WORKER_ID: z
    .string()
    .regex(/^[a-z0-9-]{1,40}$/, 'must be 1 to 40 of a-z, 0-9 and -')
    .optional(),
};

/** Where a service's PKCS#11 token is. */
export const tokenConfiguration = {
  PKCS11_LIBRARY: z.string().describe('path of the PKCS#11 library, such as libsofthsm2.so'),
  HSM_TOKEN_LABEL: z.string().describe('label of the token that holds the keys of this service'),
  HSM_PIN_FILE: z.string().describe("file with the token's user PIN, readable by this service only"),
};

/** Where a service's document store is; each service has a database of its own. */
export const storeConfiguration = (database: string) => ({
  MONGODB_URL: z
    .string()
    .regex(/^mongodb(\+srv)?:\/\//, 'must start with mongodb:// or mongodb+srv://')
    .describe('URL of the document store, such as mongodb://127.0.0.1:27017'),
  MONGODB_DATABASE: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,60}$/, 'must be 1 to 60 of A-Z, a-z, 0-9, _ and -')
    .default(database),
});

/** For a service that changes something and owes the record of who did. */
export const owedRecordConfiguration = {
  OWED_RECORD_SECONDS: z.coerce
    .number('must be a whole number')
    .int()
    .min(1)
    .max(3_600)
    .default(120)
    .describe('a promised record that is this old is written by any process; longer than an operation takes and clocks differ together'),
};

/** What a service has read when its schema holds both. */
export type CoreConfiguration = z.output<z.ZodObject<typeof commonConfiguration & typeof tokenConfiguration>>;

/** Parses a JSON file through a schema; errors name the variable that led to it. */
export function readJsonFile<S extends z.ZodType>(variable: string, file: string, schema: S): z.output<S> {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new ConfigurationError([
      `${variable}: the file cannot be read as JSON (${(error as NodeJS.ErrnoException).code ?? 'syntax error'})`,
    ]);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success)
    throw new ConfigurationError([`${variable}: ${parsed.error.issues.map((i) => `${i.path.join('.')} ${i.message}`).join(', ')}`]);
  return parsed.data;
}
