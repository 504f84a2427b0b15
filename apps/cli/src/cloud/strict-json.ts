import type { z } from 'zod';

/** Text of others as what it is to be, or what is wrong with it. No name in it stands for something else than a field: `__proto__` would be dropped in silence. */
export function jsonAs<T>(schema: z.ZodType<T>, text: string): { data: T } | string {
  let content: unknown;
  let isNamedProto = false;
  try {
    content = JSON.parse(text, (name, value: unknown) => {
      isNamedProto ||= name === '__proto__';
      return value;
    });
  } catch {
    return 'it is not JSON';
  }
  if (isNamedProto) return 'a field is named __proto__';
  const parsed = schema.safeParse(content);
  if (parsed.success) return { data: parsed.data };
  const { path, message } = parsed.error.issues[0]!;
  return `${path.join('.') || 'it'}: ${message}`;
}
