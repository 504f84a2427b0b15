import { z } from 'zod';

/** A file of Project Wycheproof, `testvectors_v1`: what every schema shares. Fields of their own are read where they are used. */
const Vector = z.looseObject({
  tcId: z.int(),
  comment: z.string().optional(),
  result: z.enum(['valid', 'invalid', 'acceptable']),
  flags: z.array(z.string()).optional(),
});
const Group = z.looseObject({ type: z.string(), tests: z.array(Vector) });
export const VectorFile = z.looseObject({ algorithm: z.string().optional(), testGroups: z.array(Group) });
export type VectorFile = z.infer<typeof VectorFile>;
export type Group = z.infer<typeof Group>;
export type Vector = z.infer<typeof Vector>;

type Fields = Record<string, unknown>;

/** @throws Error naming the field: a file that is not what its type says is a failure, not a skip */
export function text(from: Fields, name: string): string {
  const value = from[name];
  if (typeof value !== 'string') throw new Error(`the vector has no text ${name}`);
  return value;
}

/** Bytes of a hexadecimal field. */
export function hex(from: Fields, name: string): Buffer {
  const value = text(from, name);
  const bytes = Buffer.from(value, 'hex');
  if (bytes.length * 2 !== value.length) throw new Error(`${name} is not hexadecimal`);
  return bytes;
}

export function number(from: Fields, name: string): number {
  const value = from[name];
  if (typeof value !== 'number') throw new Error(`the vector has no number ${name}`);
  return value;
}

export function object(from: Fields, name: string): Fields {
  const value = from[name];
  if (typeof value !== 'object' || value === null) throw new Error(`the vector has no object ${name}`);
  return value as Fields;
}
