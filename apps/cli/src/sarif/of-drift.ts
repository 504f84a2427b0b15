import { join } from 'node:path';
import type { CommittedSite } from '../cloud/committed-sites';
import { siteName } from '../cloud/site';
import type { CloudDrift, CloudUnseen } from '../cloud/site-drift';
import type { Drift } from '../policy-check/drift';
import { linesOfJson } from './json-lines';
import type { Told } from './log';
import type { Place, Places } from './places';
import type { RuleId } from './rules';

export interface DriftFound {
  readonly ofBundles: readonly (Drift & { environment: string })[];
  readonly sites: readonly CommittedSite[];
  readonly drift: readonly CloudDrift[];
  readonly unseen: readonly CloudUnseen[];
  readonly notAsked: readonly string[];
}

/** What `claviger policy drift` found, each where it is committed: what only runs is in the file where it would be. */
export function driftTold(folder: string, { ofBundles, sites, drift, unseen, notAsked }: DriftFound, places: Places): Told[] {
  const inSite = sitePlaces(folder, sites);
  return [
    ...ofBundles.map(
      ({ environment, part, id, how, fields }): Told => ({
        rule: `drift/${how === 'differs' ? how : how === 'only runs' ? 'only-runs' : 'only-committed'}`,
        text: `${environment}: ${part}${id === undefined ? '' : ` ${id}`}: ${how}${fields ? `: ${fields.join(', ')}` : ''}`,
        ...places.thing(part, id),
      }),
    ),
    ...drift.map(
      ({ environment, part, id, how, what }): Told => ({
        ...{ rule: cloudRules[part] ?? 'cloud-drift/settings', text: `${environment} ${id}: ${part}: ${how}: ${what}` },
        ...inSite(environment, id, part),
      }),
    ),
    ...unseen.map(({ place, why }): Told => {
      const [environment = '', id, part] = place.split(' ');
      return { rule: 'drift/not-looked-at', text: `${place}: ${why}`, ...inSite(environment, id, part), name: place };
    }),
    ...notAsked.map(
      (site): Told => ({ rule: 'drift/not-looked-at', text: `${site} is connected, and was not asked for`, ...inSite(site), name: site }),
    ),
  ];
}

const cloudRules: Readonly<Partial<Record<string, RuleId>>> = {
  key: 'cloud-drift/key',
  policy: 'cloud-drift/policy',
  grants: 'cloud-drift/grants',
};

/** Of a file that nobody committed the name that it would have. */
function sitePlaces(folder: string, sites: readonly CommittedSite[]) {
  const known = new Map(sites.map((one) => [siteName(one.site), one]));
  const lines = new Map<string, ReadonlyMap<string, number>>();
  return (name: string, id?: string, part?: string): Place => {
    const found = known.get(name);
    if (!found) return { file: join(folder, 'cloud', `${name}.json`) };
    if (!lines.has(name)) lines.set(name, linesOfJson(found.text, 3));
    const pointer = `/keys/${found.site.keys.findIndex((key) => key.id === id)}`;
    const line = lines.get(name)!.get(`${pointer}/${part}`) ?? lines.get(name)!.get(pointer);
    return { file: found.file, ...(line === undefined ? {} : { line }) };
  };
}
