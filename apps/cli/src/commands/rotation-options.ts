import { type AtEnd, type Cryptoperiod, type KeyDescription, RotationSchedule, type RotationWindow, Weekday } from '@claviger/contracts';
import type { Command } from 'commander';
import { CommandError } from '../exit-codes';
import { wholeNumber } from '../pairs';

export interface RotationOptions {
  every?: string;
  cron?: string;
  timeZone?: string;
  window?: string;
  jitter?: string;
  /** `--no-usage-threshold` makes it false. */
  usageThreshold: boolean;
  onCompromise?: boolean;
  onOwnerChange?: boolean;
  originatorDays?: string;
  recipientDays?: string;
  atEnd?: string;
}

/** Of `keys create` and `keys set-rotation`. */
export const withRotationOptions = (command: Command): Command =>
  command
    .option('--every <days>', 'rotate it by itself so long after its last rotation, such as 90d')
    .option('--cron <expression>', 'or at the times of five fields: minute, hour, day, month, weekday; at most once a day')
    .option('--time-zone <name>', 'of --cron and --window, such as Europe/Berlin (default: UTC)')
    .option('--window <when>', "rotate only then, such as 'Mon-Fri 08:00-16:00'; what falls outside moves to the next opening")
    .option('--jitter <time>', 'spread keys with one schedule over so long, such as 30m or 2h (default: 60m)')
    .option('--no-usage-threshold', 'do not rotate it when it nears the number of encryptions that is safe')
    .option('--on-compromise', 'rotate it at once when its primary version is marked as compromised')
    .option('--on-owner-change', 'rotate it at once when it is handed over')
    .option('--originator-days <n>', 'so long a version protects (default: by usage, NIST SP 800-57)')
    .option('--recipient-days <n>', '… and so long it is to process, from the same day')
    .option(
      '--at-end <what>',
      'at the end of the originator days: rotate, deactivate or warn (default: rotate with a schedule, else warn)',
    );

/** Undefined when none is given. @throws CommandError */
export function scheduleIn(options: RotationOptions): RotationSchedule | undefined {
  const { every, cron, timeZone, window, jitter, usageThreshold: onUsageThreshold, onCompromise, onOwnerChange } = options;
  if (every !== undefined && cron !== undefined) throw usage('one of --every and --cron');
  if (every === undefined && cron === undefined) {
    const lost = timeZone ?? window ?? jitter ?? (onUsageThreshold && !onCompromise && !onOwnerChange ? undefined : '');
    if (lost !== undefined)
      throw usage('--every or --cron beside --time-zone, --window, --jitter, --no-usage-threshold, --on-compromise and --on-owner-change');
    return undefined;
  }
  const given = {
    ...(every === undefined ? { cron } : { everyDays: daysIn(every) }),
    ...(timeZone === undefined ? {} : { timeZone }),
    ...(window === undefined ? {} : { window: windowIn(window) }),
    ...(jitter === undefined ? {} : { jitterMinutes: minutesIn(jitter) }),
    onUsageThreshold,
    ...(onCompromise ? { onCompromise } : {}),
    ...(onOwnerChange ? { onOwnerChange } : {}),
  };
  const { data, error } = RotationSchedule.safeParse(given);
  if (!data) throw usage(`another schedule: ${error.issues.map(({ message }) => message).join('; ')}`);
  return data;
}

/** Undefined when none is given. @throws CommandError */
export function cryptoperiodIn({ originatorDays, recipientDays }: RotationOptions): Cryptoperiod | undefined {
  const [originator, recipient] = [wholeNumber('--originator-days', originatorDays), wholeNumber('--recipient-days', recipientDays)];
  if (originator === undefined && recipient === undefined) return undefined;
  if (originator === undefined || recipient === undefined) throw usage('both of --originator-days and --recipient-days');
  return { originatorDays: originator, recipientDays: recipient };
}

export const atEndIn = ({ atEnd }: RotationOptions): AtEnd | undefined => atEnd as AtEnd | undefined;

/** `Mon-Fri 08:00-16:00`, `Sat,Sun 22:00-04:00`. @throws CommandError */
export function windowIn(text: string): RotationWindow {
  const [, days = '', from = '', to = ''] = /^([A-Za-z,-]+) +(\d\d:\d\d)-(\d\d:\d\d)$/.exec(text.trim()) ?? [];
  const open = days === '' ? [] : days.split(',').flatMap(daysOfWeek);
  if (open.length === 0) throw usage("a --window such as 'Mon-Fri 08:00-16:00'");
  return { days: Weekday.options.filter((day) => open.includes(day)), from, to: to === '24:00' ? '00:00' : to };
}

function daysOfWeek(text: string): Weekday[] {
  const [first, last = first] = text.toLowerCase().split('-') as [string, string?];
  const [from, to] = [Weekday.options.indexOf(first as Weekday), Weekday.options.indexOf(last as Weekday)];
  if (from < 0 || to < 0) throw usage('days such as Mon-Fri or Sat,Sun in --window');
  return Array.from({ length: ((to - from + 7) % 7) + 1 }, (_, n) => Weekday.options[(from + n) % 7] as Weekday);
}

const daysIn = (text: string): number => numberIn(text, /^(\d{1,5})d$/, 'days such as 90d with --every');
const minutesIn = (text: string): number =>
  numberIn(text, /^(\d{1,4})[mh]$/, 'a --jitter such as 30m or 2h') * (text.endsWith('h') ? 60 : 1);
function numberIn(text: string, form: RegExp, wanted: string): number {
  const [, digits] = form.exec(text) ?? [];
  if (digits === undefined) throw usage(wanted);
  return Number(digits);
}
const usage = (wanted: string) => new CommandError('usage', `give ${wanted}`);

/** What a key's description says about its time, for people. */
export const rotationSummary = ({ cryptoperiod, schedule, atEnd, originatorPeriodEndsAt, rotationDue, next }: KeyDescription) => ({
  cryptoperiod: `${cryptoperiod.originatorDays} days to protect, ${cryptoperiod.recipientDays} to process`,
  'protects until': originatorPeriodEndsAt === undefined ? undefined : `${originatorPeriodEndsAt}, then: ${atEnd}`,
  rotation: schedule === undefined ? 'on demand' : scheduleText(schedule),
  'rotation due': rotationDue && `since ${rotationDue.at}: ${rotationDue.reason}`,
  next: next && nextText(next),
});

export const nextText = ({ event, at }: NonNullable<KeyDescription['next']>): string => `${event} ${at}`;

function scheduleText(schedule: RotationSchedule): string {
  const { timeZone, window, jitterMinutes, onUsageThreshold, onCompromise, onOwnerChange } = schedule;
  return [
    'cron' in schedule ? `at ${schedule.cron}` : `every ${schedule.everyDays} days`,
    ...(window ? [`${window.days.join(',')} ${window.from}-${window.to}`] : []),
    timeZone,
    `jitter ${jitterMinutes} min`,
    ...(onUsageThreshold ? [] : ['not on usage']),
    ...(onCompromise ? ['on compromise'] : []),
    ...(onOwnerChange ? ['on change of owner'] : []),
  ].join(', ');
}
