import { ProblemError, type TokenSighting } from '@claviger/contracts';

/** The token of this label, or the first of all workers: one device, by its serial number. */
export interface TokenDevice {
  label: string;
  serialNumber: string;
}

/**
 * The one device that all workers mean by a label, so that whoever of them is asked to destroy something does it there. Throws ERR_NOT_FOUND (none has it),
 * ERR_HSM_UNAVAILABLE (some do not say which one it is), ERR_CONFLICT (they mean several devices).
 */
export function deviceOf(token: string | undefined, sightings: readonly TokenSighting[]): TokenDevice {
  const labels = new Set(token === undefined ? sightings.map(({ first }) => first) : [token]);
  const [label = '', another] = labels;
  if (another !== undefined)
    throw new ProblemError('ERR_CONFLICT', `Workers do not agree on their first token: ${[...labels].join(', ')} (HSM_TOKEN_LABEL).`);
  const having = sightings.filter((one) => one.token !== 'unknown');
  if (having.length === 0)
    throw new ProblemError('ERR_NOT_FOUND', `No worker has a token ${label}: name it in FURTHER_TOKENS_FILE of one that is to look.`);
  const silent = having.find(({ serialNumber }) => serialNumber === undefined);
  if (silent)
    throw new ProblemError(
      'ERR_HSM_UNAVAILABLE',
      `${silent.worker} does not reach token ${label}, or not now: which device it means is not known. Mend that, or take the token out of its FURTHER_TOKENS_FILE.`,
    );
  const devices = new Set(having.map(({ serialNumber }) => serialNumber as string));
  const [serialNumber = '', other] = devices;
  if (other !== undefined)
    throw new ProblemError(
      'ERR_CONFLICT',
      `Workers have several devices of the label ${label}, of serial numbers ${[...devices].join(', ')}: let them all have the same one, one device after the other.`,
    );
  return { label, serialNumber };
}
