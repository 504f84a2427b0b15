import type { ObservedUse } from '../observed-use';

export interface DeletionProbeSettings {
  /** At most one alert a key in this time; the attempts between are counted and told with the next. */
  cooldownSeconds: number;
}

/** Was this a use that only the coming deletion of its key prevented? Whoever is refused so would miss the key once it is destroyed. */
export const isDeletionProbe = (use: ObservedUse): use is ObservedUse & { keyId: string } =>
  use.keyId !== undefined && use.code === 'ERR_KEY_PENDING_DELETION' && use.action.startsWith('crypto:');
