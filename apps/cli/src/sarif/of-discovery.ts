import type { DiscoveryFinding } from '../discovery/discovery-findings';
import type { Told } from './log';

/** What `claviger discover` found. A place is a file, `FILE#N` for one of several keys in it, where a folder was looked at; else a name. */
export function discoveryTold(
  findings: readonly DiscoveryFinding[],
  unseen: readonly { place: string; why: string }[],
  inFiles: boolean,
): Told[] {
  const at = (place: string) => (inFiles ? { file: place.replace(/#\d+$/, ''), name: place } : { name: place });
  return [
    ...findings.map(({ check, place, why, next }): Told => ({ rule: `discovery/${check}`, text: `${why}: ${next}`, ...at(place) })),
    ...unseen.map(({ place, why }): Told => ({ rule: 'discovery/not-looked-at', text: `${place}: ${why}`, ...at(place) })),
  ];
}
