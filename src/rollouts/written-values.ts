/** Values of a plan as people write them: durations and shares with their units. */

export type Written = Readonly<Record<string, unknown>>;

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export function milliseconds(text: unknown, otherwise: number): number {
  const match = /^([\d.]+)(ms|s|m|h|d)$/.exec(String(text ?? ''));
  return match ? Math.round(Number(match[1]) * UNITS_MS[match[2]!]!) : otherwise;
}

export function share<T>(text: unknown, otherwise: T): number | T {
  return typeof text === 'string' ? Number((Number.parseFloat(text) / 100).toPrecision(12)) : otherwise;
}
