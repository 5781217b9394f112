import type { KeyLimits, KeyLimitsChange } from '../../sdk/src/types.ts';
import { CliError } from './cli-error.ts';
import { parseCount } from './key-values.ts';
import type { OptionReader, OptionSpec } from './verb.ts';

/** `none` takes a limit away; it makes sense on a key that has one. */
export const KEY_LIMIT_OPTIONS: readonly OptionSpec[] = [
  { flags: '--rate <rate>', help: 'predictions per second, minute or hour, such as 100/s or 600/m; none for no limit' },
  { flags: '--burst <number>', help: "predictions that may come at once under the rate; one second's unless given" },
  { flags: '--concurrency <number>', help: 'predictions that may be under way at once; none for no limit' },
  { flags: '--weight <number>', help: 'share of a queue beside other keys: 2 gets twice what 1 gets; 1 unless given' },
];

const PER_S: Record<string, number> = { s: 1, m: 60, h: 3600 };

/** The limits that the options name; null when they name none. */
export function readKeyLimits(options: OptionReader): KeyLimitsChange | null {
  const change: KeyLimitsChange = {};
  const rate = options.text('rate');
  if (rate !== undefined) change.rate = rate === 'none' ? null : parseRate(rate);
  for (const name of ['burst', 'concurrency', 'weight'] as const) {
    const text = options.text(name);
    if (text !== undefined) change[name] = text === 'none' ? null : parseCount(`--${name}`, text);
  }
  return Object.keys(change).length === 0 ? null : change;
}

function parseRate(text: string): number {
  const parts = /^(\d+(?:\.\d+)?)\/(s|m|h)$/.exec(text);
  const rate = parts === null ? 0 : Number(parts[1]) / PER_S[parts[2]!]!;
  if (rate > 0) return rate;
  throw new CliError('usage', `--rate is ${JSON.stringify(text)}, which is no rate`, {
    hint: 'Write 100/s, 600/m or 50/h, or none.',
  });
}

/** `100/s +200, 16 at once, weight 2`; `none`. */
export function limitsText({ rate, burst, concurrency, weight }: KeyLimits): string {
  const parts: string[] = [];
  if (rate !== null) parts.push(`${rateText(rate)}${burst === null ? '' : ` +${burst}`}`);
  if (concurrency !== null) parts.push(`${concurrency} at once`);
  if (weight !== 1) parts.push(`weight ${weight}`);
  return parts.length === 0 ? 'none' : parts.join(', ');
}

function rateText(rate: number): string {
  if (rate >= 1) return `${round(rate)}/s`;
  return rate * 60 >= 1 ? `${round(rate * 60)}/m` : `${round(rate * 3600)}/h`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
