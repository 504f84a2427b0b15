import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { workspaceRoot } from './workspace';

const machineSchema = z.object({
  nats: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('url'), url: z.string() }),
    z.object({ kind: z.literal('binary'), path: z.string(), version: z.string() }),
  ]),
  store: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('url'), url: z.string() }),
    z.object({ kind: z.literal('mongod'), path: z.string() }),
    z.object({ kind: z.literal('memory-server'), path: z.string() }),
    z.object({ kind: z.literal('docker'), image: z.string() }),
    z.object({ kind: z.literal('ferretdb'), ferretdb: z.string(), root: z.string(), cluster: z.string() }),
  ]),
  pkcs11: z.object({ libraryPath: z.string() }),
  /** The post-quantum token, where it was built. */
  kryoptic: z.object({ libraryPath: z.string() }).optional(),
  /** A Python that has moto, where it was installed: `-m moto.server` emulates AWS KMS. */
  kmsEmulator: z.object({ python: z.string() }).optional(),
  docker: z.boolean(),
  node: z.string(),
});

/** What the set-up found on this machine. Paths are absolute. */
export type Machine = z.infer<typeof machineSchema>;

/** @throws when the set-up has not run in this checkout */
export function readMachine(): Machine {
  const file = join(workspaceRoot(), '.claviger', 'machine.json');
  try {
    return machineSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    throw new Error(`${file} is missing or of another version: run \`npm run setup\``, { cause });
  }
}
