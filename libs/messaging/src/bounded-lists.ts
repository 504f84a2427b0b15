import { z } from 'zod';

/** In all the lists of one request: a bundle of 10,000 principals with roles, identities and groups has some 100,000. */
const itemsAtMost = 250_000;

/**
 * What is wrong with the lists of a long request, before all of it is looked at: a schema by itself looks at every item, and keeps what is wrong with each, also of
 * a list that is too long. Ends at the first thing that it finds. Undefined: nothing; whatever is not in a list has not been looked at.
 */
export function listProblem(schema: z.ZodType, value: unknown): string | undefined {
  let left = itemsAtMost;
  const look = (of: unknown, found: unknown, path: string, inList: boolean): string | undefined => {
    if (of instanceof z.ZodOptional) return found === undefined ? undefined : look(of.unwrap(), found, path, inList);
    if (of instanceof z.ZodArray && Array.isArray(found)) return lookAt(of, found, path);
    if (of instanceof z.ZodObject && typeof found === 'object' && found !== null && !Array.isArray(found)) {
      for (const [name, field] of Object.entries(of.shape)) {
        const problem = look(field, (found as Record<string, unknown>)[name], path ? `${path}.${name}` : name, inList);
        if (problem) return problem;
      }
      return undefined;
    }
    if (!inList) return undefined;
    const parsed = (of as z.ZodType).safeParse(found);
    return parsed.success ? undefined : `${path}: ${parsed.error.issues[0]!.message.slice(0, 120)}`;
  };
  const lookAt = (of: z.ZodArray, found: unknown[], path: string): string | undefined => {
    const most = mostOf(of);
    if (most !== undefined && found.length > most) return `${path}: at most ${most} items`;
    left -= found.length;
    if (left < 0) return `${path}: at most ${itemsAtMost} items in all lists`;
    for (const [index, item] of found.entries()) {
      const problem = look(of.element, item, `${path}.${index}`, true);
      if (problem) return problem;
    }
    return undefined;
  };
  return look(schema, value, '', false);
}

const mostOf = ({ def }: z.ZodArray): number | undefined =>
  def.checks?.map((check) => check._zod.def as { check: string; maximum?: number }).find(({ check }) => check === 'max_length')?.maximum;
