import { createHash } from 'node:crypto';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Level, type RuleId, rules } from './rules';

/** One finding: in a file, at a line where it is known (from 1); of what is in no file, by its name. */
export interface Told {
  readonly rule: RuleId;
  readonly text: string;
  readonly file?: string;
  readonly line?: number;
  readonly name?: string;
  /** Where it is not that of the rule. */
  readonly level?: Level;
}

/**
 * Findings as one run of a SARIF 2.1.0 log (OASIS Standard, §3). Files below `folder`, the current one, are relative to it, as code hosts want them: so no path of
 * this machine stands there.
 */
export function sarifLog(command: string, told: readonly Told[], folder: string): object {
  const used = [...new Set(told.map(({ rule }) => rule))].sort();
  return {
    $schema: 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'claviger', rules: used.map(ruleOf) } },
        // Of each command a category of its own: an upload of one takes back no findings of the other.
        automationDetails: { id: `claviger ${command}/` },
        invocations: [{ executionSuccessful: true }],
        columnKind: 'utf16CodeUnits',
        results: told.map((one) => resultOf(one, used, folder)),
      },
    ],
  };
}

function ruleOf(id: RuleId): object {
  const [level, what, next] = rules[id];
  return {
    id,
    shortDescription: { text: `${what}.` },
    fullDescription: { text: `${what}. ${next}` },
    help: { text: next },
    defaultConfiguration: { level },
  };
}

function resultOf({ rule, text, file, line, name, level }: Told, used: readonly RuleId[], folder: string): object {
  const place = file === undefined ? undefined : artifactOf(file, folder);
  const logical = name === undefined ? {} : { logicalLocations: [{ fullyQualifiedName: name }] };
  const physical = place && {
    physicalLocation: { artifactLocation: place, ...(line === undefined ? {} : { region: { startLine: line } }) },
  };
  return {
    ruleId: rule,
    ruleIndex: used.indexOf(rule),
    level: level ?? rules[rule][0],
    message: { text },
    ...(physical || name !== undefined ? { locations: [{ ...physical, ...logical }] } : {}),
    // Without the line, which moves with what stands above it.
    partialFingerprints: {
      'claviger/v1': createHash('sha256')
        .update(JSON.stringify([rule, place?.uri, name, text]))
        .digest('hex'),
    },
  };
}

/** RFC 3986: each part of the path encoded for itself. */
function artifactOf(file: string, folder: string): { uri: string; uriBaseId?: string } {
  const path = relative(folder, resolve(folder, file));
  if (path === '..' || path.startsWith(`..${sep}`) || isAbsolute(path)) return { uri: pathToFileURL(resolve(folder, file)).href };
  return { uri: path.split(sep).map(encodeURIComponent).join('/'), uriBaseId: '%SRCROOT%' };
}
