import { mismatchesOf } from '@claviger/authz';
import type { KnownToken, ReportedToken, TokenMismatch } from '@claviger/contracts';
import type { Sighting } from './token-sightings';

/** What one worker said last of a token, kept with what was told: no replica hears all of them at once. */
export interface WordOfToken {
  worker: string;
  /** When it was heard, ms since 1970. */
  atMs: number;
  /** Absent where it has no such token. */
  reported?: Pick<ReportedToken, 'model' | 'firmware' | 'serialNumber'>;
}

/** What a replica has heard lately. */
export interface HeardOfToken {
  readonly words: readonly WordOfToken[];
  /** Workers that serve now or were heard: of any other what it said is forgotten. */
  readonly known: ReadonlySet<string>;
}

/** Of workers that serve. One that does not reach its token says nothing. Undefined while it is not known which workers there are. */
export function heardOf(label: string, seen: readonly Sighting[], serving: ReadonlySet<string> | undefined): HeardOfToken | undefined {
  if (!serving) return undefined;
  const ofWorkers = [...Map.groupBy(seen, ({ worker }) => worker)];
  const words = ofWorkers.flatMap(([worker, tokens]): WordOfToken[] => {
    const [{ heardMs: atMs }] = tokens as [Sighting];
    const token = tokens.find((one) => one.label === label);
    if (!token) return [{ worker, atMs }];
    if (!token.reported) return [];
    const { model, firmware, serialNumber } = token.reported;
    return [{ worker, atMs, reported: { model, firmware, serialNumber } }];
  });
  return { words: words.filter(({ worker }) => serving.has(worker)), known: new Set([...serving, ...ofWorkers.map(([worker]) => worker)]) };
}

/** The newest word of each, whichever replica heard it: what a worker said, only that worker takes back. `before` itself where nothing else was said. */
export function withWords(before: readonly WordOfToken[], { words, known }: HeardOfToken): readonly WordOfToken[] {
  const kept = before.filter(({ worker }) => known.has(worker));
  const news = words.filter((word) => {
    const last = before.find(({ worker }) => worker === word.worker);
    return last ? last.atMs < word.atMs && said(last) !== said(word) : word.reported !== undefined;
  });
  if (news.length === 0 && kept.length === before.length) return before;
  return [...kept.filter(({ worker }) => news.every((word) => word.worker !== worker)), ...news];
}

/** Each difference once: workers may have tokens of one label that are not the same. In one order. */
export function mismatchesIn(token: KnownToken, words: readonly WordOfToken[]): TokenMismatch[] {
  const found = words.flatMap(({ reported }) => (reported ? mismatchesOf(token, reported) : []));
  return [...new Map(found.map((one) => [JSON.stringify(one), one])).entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}

const said = ({ reported }: WordOfToken) => (reported ? JSON.stringify([reported.model, reported.firmware, reported.serialNumber]) : '');
