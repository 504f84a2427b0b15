import type { Alert } from '@claviger/contracts';
import type { FirstUse } from './detectors/first-use';
import type { QuotaBurst } from './detectors/quota-refusals';
import type { RateSpike } from './detectors/rate-spike';
import type { ObservedUse } from './observed-use';

type Draft = Omit<Alert, 'alertId' | 'status'>;
const iso = (ms: number) => new Date(ms).toISOString();
const rounded = (n: number) => (n < 10 ? n.toFixed(1) : String(Math.round(n)));
const namesShown = 5;

function span(seconds: number): string {
  for (const [unit, name] of [
    [86_400, 'days'],
    [3_600, 'hours'],
    [60, 'minutes'],
  ] as const)
    if (seconds >= 2 * unit) return `${Math.floor(seconds / unit)} ${name}`;
  return `${seconds} seconds`;
}

/** Of an alert that one use of a key gave rise to. */
const ofUse = ({ principal, keyId, timeMs, streamSeq, line }: ObservedUse & { keyId: string }) => ({
  ...{ principal, keyId, firstSeen: iso(timeMs), lastSeen: iso(timeMs) },
  evidence: [{ streamSeq, line }],
});

/** A spike in words: what was expected, what was seen, which records show it. */
export function rateAlert(detector: 'rate-spike-principal' | 'rate-spike-key', spike: RateSpike, use: ObservedUse): Draft {
  const { second, count, limit, usual, knownForSeconds, evidence } = spike;
  const ofKey = detector === 'rate-spike-key';
  const who = ofKey ? `key ${use.keyId}` : `principal ${use.principal}`;
  const expected = `at most ${Math.floor(limit)} a second: the recent mean is ${rounded(usual)} a second, seen for ${span(knownForSeconds)}`;
  const seen = `${count} in the second ${iso(second * 1_000)}, and counting; the last was ${use.action} by ${use.principal}`;
  return {
    detector,
    severity: 'high',
    title: `Sudden load ${ofKey ? 'on' : 'by'} ${who}`,
    explanation: `Uses ${ofKey ? 'of' : 'by'} ${who} rose suddenly. Expected ${expected}. Seen ${seen}.`,
    expected,
    seen,
    ...(ofKey ? { keyId: use.keyId } : { principal: use.principal }),
    firstSeen: iso(second * 1_000),
    lastSeen: iso(use.timeMs),
    evidence,
  };
}

/** A first use in words. */
export function firstUseAlert({ knownForSeconds, usedBefore, folded }: FirstUse, use: ObservedUse & { keyId: string }): Draft {
  const more = usedBefore.length - namesShown;
  const users = `${usedBefore.slice(0, namesShown).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  const expected = `use by ${users}, as in the ${span(knownForSeconds)} since its first use`;
  const others = folded > 0 ? ` Since the last alert it was the first use of ${folded} other ${folded === 1 ? 'key' : 'keys'} too.` : '';
  const seen = `${use.action} by ${use.principal}, for the first time`;
  return {
    detector: 'first-use',
    severity: 'medium',
    title: `First use of key ${use.keyId} by ${use.principal}`,
    explanation: `Key ${use.keyId} was used by somebody new. Expected ${expected}. Seen ${seen}.${others}`,
    expected,
    seen,
    ...ofUse(use),
  };
}

/** An attempt to use a key that waits for its deletion, in words. */
export function deletionProbeAlert(folded: number, use: ObservedUse & { keyId: string }): Draft {
  const before = folded > 0 ? ` Since the last alert there were ${folded} other attempts.` : '';
  const seen = `${use.action} by ${use.principal}, refused`;
  // The record of a re-encryption does not say which of its keys waits.
  const other = use.toKeyId !== undefined && use.toKeyId !== use.keyId ? ` or key ${use.toKeyId}, to which it was to be re-encrypted` : '';
  return {
    detector: 'deletion-probe',
    severity: 'high',
    title: `Key ${use.keyId}${other} waits for its deletion and is still asked for`,
    explanation: `${use.principal} asked for the use of key ${use.keyId}${other}, which is to be destroyed. What it protects is lost to whoever still needs it then: cancel the deletion, or make sure that nobody does.${before}`,
    expected: 'no use of a key that waits for its deletion',
    seen,
    ...ofUse(use),
  };
}

/** Refused by quotas again and again: what goes on asking is broken, or is somebody who tries to get more. */
export function quotaBurstAlert({ since, count, folded, quotas, evidence }: QuotaBurst, use: ObservedUse): Draft {
  const { principal, timeMs, action } = use;
  const of = quotas.length > 0 ? ` of ${quotas.join(', ')}` : '';
  const before = folded > 0 ? ` ${folded} more such bursts since the last alert.` : '';
  const seen = `${count} operations refused since ${iso(since * 1_000)}; the last was ${action}`;
  return {
    ...{ detector: 'quota-refusals', severity: 'medium', title: `Principal ${principal} goes on beyond its quota` },
    explanation: `Quotas${of} refused ${count} operations of ${principal} within ${span(Math.max(1, Math.floor(timeMs / 1_000) - since))}. A caller that waits as it is told is refused a few times only: this one is broken, needs more, or tries to get more.${before}`,
    ...{ expected: 'a caller that waits until the next window', seen, principal },
    ...{ firstSeen: iso(since * 1_000), lastSeen: iso(timeMs), evidence },
  };
}
