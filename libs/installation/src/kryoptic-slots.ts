import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * The slot of this store, added to the configuration when it is new: kryoptic has the slots that its configuration lists, each with a file of
 * objects. A token is made in its own slot only, since another free one may wait for a token whose making was interrupted.
 */
export function kryopticSlot(conf: string, store: string): number {
  mkdirSync(dirname(store), { recursive: true, mode: 0o700 });
  const text = existsSync(conf) ? readFileSync(conf, 'utf8') : '';
  const dbargs = `dbargs = ${JSON.stringify(store)}`;
  const slots = text.split('[[slots]]').slice(1);
  const known = slots.find((slot) => slot.includes(dbargs));
  if (known !== undefined) return Number(/^slot = (\d+)$/m.exec(known)?.[1]);
  writeFileSync(`${conf}.new`, `${text}[[slots]]\nslot = ${slots.length}\ndbtype = "sqlite"\n${dbargs}\n`);
  renameSync(`${conf}.new`, conf);
  return slots.length;
}
