import { join } from 'node:path';
import { policyFolder } from '@claviger/contracts';
import { nameOfThing } from '../policy-check/drift';
import { linesOfJson } from './json-lines';

export interface Place {
  readonly file: string;
  readonly line?: number;
}
const fileOf: Readonly<Record<string, string>> = {
  ...{ policies: policyFolder.policies, schema: policyFolder.schema, roles: policyFolder.roles },
  ...policyFolder.empty,
  ...policyFolder.optional,
};

/** Where things of a bundle stand in its folder; `read` gives the text of a file, or undefined. What is nowhere is in the file where it would be. */
export function placesIn(folder: string, read: (file: string) => string | undefined) {
  const texts = new Map<string, string>();
  const parsed = new Map<string, { value: unknown; lines: ReadonlyMap<string, number> }>();
  const textOf = (file: string): string => {
    if (!texts.has(file)) texts.set(file, read(file) ?? '');
    return texts.get(file)!;
  };
  const jsonOf = (file: string) => {
    const known = parsed.get(file);
    if (known) return known;
    const made = { value: jsonIn(textOf(file)), lines: linesOfJson(textOf(file), 3) };
    parsed.set(file, made);
    return made;
  };
  const at = (name: string, line?: number): Place => ({ file: join(folder, name), ...(line === undefined ? {} : { line }) });
  const pathFile = (part: string): string => fileOf[part] ?? policyFolder.policies;

  const policy = (id: string): Place => {
    const text = textOf(join(folder, policyFolder.policies));
    const index = text.indexOf(`@id("${id}")`);
    return at(policyFolder.policies, index < 0 ? undefined : text.slice(0, index).split('\n').length);
  };
  const thing = (part: string, id: string | undefined): Place => {
    if (part === 'policies') return id === undefined ? at(policyFolder.policies) : policy(id);
    const name = pathFile(part);
    if (id === undefined || !name.endsWith('.json')) return at(name);
    const { value, lines } = jsonOf(join(folder, name));
    const index = Array.isArray(value) ? value.findIndex((one) => nameOfThing(one) === id) : -1;
    return at(name, lines.get(`/${index}`));
  };
  /** As validation says it: `policies`, `policy ID`, `principals.3.roles.0`. */
  const issue = (where: string): Place => {
    const ofPolicy = /^policy (\S+)$/.exec(where)?.[1];
    if (ofPolicy) return policy(ofPolicy);
    const [part = '', ...path] = where.split('.');
    const name = pathFile(part);
    if (!name.endsWith('.json')) return at(name);
    const { lines } = jsonOf(join(folder, name));
    for (let length = Math.min(path.length, 3); length > 0; length -= 1) {
      const line = lines.get(`/${path.slice(0, length).join('/')}`);
      if (line !== undefined) return at(name, line);
    }
    return at(name);
  };
  return { policy, thing, issue };
}
export type Places = ReturnType<typeof placesIn>;

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
