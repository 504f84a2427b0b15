import { readdirSync, readFileSync } from 'node:fs';

/** CPU seconds (user and system) that a process and its descendants have used so far; Linux only, NaN elsewhere. */
export function cpuSecondsOf(pid: number): number {
  try {
    const children = new Map<number, number[]>();
    for (const entry of readdirSync('/proc')) {
      if (!/^\d+$/.test(entry)) continue;
      const fields = statFields(Number(entry));
      if (fields) children.set(fields.parent, [...(children.get(fields.parent) ?? []), Number(entry)]);
    }
    const sum = (of: number): number =>
      (statFields(of)?.cpu ?? 0) + (children.get(of) ?? []).reduce((total, child) => total + sum(child), 0);
    return sum(pid);
  } catch {
    return Number.NaN;
  }
}

/** Resident memory of a process in MB; Linux only, NaN elsewhere. */
export function residentMbOf(pid: number): number {
  try {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Math.round(Number(kilobytes) / 1_024);
  } catch {
    return Number.NaN;
  }
}

const ticksPerSecond = 100;

function statFields(pid: number): { parent: number; cpu: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // After the command in parentheses: state, ppid, …, utime and stime are fields 14 and 15 of proc(5).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { parent: Number(fields[1]), cpu: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond };
  } catch {
    return undefined;
  }
}
