import { duration } from '../base/settings-values.ts';
import { CliError } from './cli-error.ts';
import type { OptionSpec, VerbCall } from './verb.ts';

export const RANGE_OPTIONS: readonly OptionSpec[] = [
  { flags: '--since <time>', help: 'from then on: 1h, 7d, or 2026-01-31T12:00:00Z' },
  { flags: '--until <time>', help: 'up to then, likewise' },
];

/** `--since` and `--until` as times; those that are absent are missing. */
export function readRange({ options }: VerbCall, nowMs: number = Date.now()): { since?: string; until?: string } {
  const [since, until] = [options.text('since'), options.text('until')];
  return {
    ...(since === undefined ? {} : { since: readTime('--since', since, nowMs) }),
    ...(until === undefined ? {} : { until: readTime('--until', until, nowMs) }),
  };
}

/** A duration means that long ago. */
export function readTime(flag: string, text: string, nowMs: number): string {
  const ms = /^\d{4}-\d\d/.test(text) ? Date.parse(text) : nowMs - msOf(text);
  if (Number.isFinite(ms) && Math.abs(ms) <= 8.64e15) return new Date(ms).toISOString();
  throw new CliError('usage', `${flag} is ${JSON.stringify(text)}; it must be how long ago, or a time`, {
    hint: `Write it like ${flag} 1h, ${flag} 7d, or ${flag} 2026-01-31T12:00:00Z.`,
  });
}

function msOf(text: string): number {
  try {
    return duration(text);
  } catch {
    return Number.NaN;
  }
}
