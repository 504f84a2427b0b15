import type { ObservedUse } from '../observed-use';

export interface DeletionProbeSettings {
  /** At most one alert a key in this time; the attempts between are counted and told with the next. */
  cooldownSeconds: number;
}

/** What is remembered of a key that somebody asked for while it waits for its deletion. */
export interface WantedKey {
  /** Second (Unix time). */
  alertedAt: number;
  /** Attempts since then. */
  folded: number;
}

/** Was this a use that only the coming deletion of its key prevented? Whoever is refused so would miss the key once it is destroyed. */
export const isDeletionProbe = (use: ObservedUse): use is ObservedUse & { keyId: string } =>
  use.keyId !== undefined && use.code === 'ERR_KEY_PENDING_DELETION' && use.action.startsWith('crypto:');

/** An attempt (`isDeletionProbe`), in the order of the stream. Gives how many there were since the last alert when it is time for one. Changes `key` in place. */
export function foldDeletionProbe(
  key: WantedKey,
  use: ObservedUse,
  { cooldownSeconds }: DeletionProbeSettings,
): { folded: number } | undefined {
  const second = Math.floor(use.timeMs / 1_000);
  if (second - key.alertedAt < cooldownSeconds) {
    key.folded++;
    return undefined;
  }
  const { folded } = key;
  key.alertedAt = second;
  key.folded = 0;
  return { folded };
}
