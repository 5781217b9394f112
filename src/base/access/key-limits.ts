import type { FieldError } from '../errors.ts';

/** How much the calls of one key may ask of all gateways of a machine together. */
export type KeyLimits = {
  /** Predictions per second on average; null: no limit. */
  readonly rate: number | null;
  /** Predictions that may come at once after a pause; null: as many as one second's, at least one. */
  readonly burst: number | null;
  /** Predictions that may be under way at once; null: no limit. */
  readonly concurrency: number | null;
  /** Share of a version's queue beside other keys that want it too: a key of weight 2 gets twice what one of weight 1 gets. */
  readonly weight: number;
};

export const NO_LIMITS: KeyLimits = { rate: null, burst: null, concurrency: null, weight: 1 };

/** Lowest and highest value of each; `rate` may be a fraction, the others are whole. */
export const KEY_LIMIT_RANGES = {
  rate: [0.001, 1_000_000],
  burst: [1, 1_000_000],
  concurrency: [1, 1_000_000],
  weight: [1, 1000],
} as const satisfies Record<keyof KeyLimits, readonly [number, number]>;

/** What a change leaves as it is it does not name; null takes a limit away. */
export type KeyLimitsChange = { readonly [K in keyof KeyLimits]?: KeyLimits[K] | null };

export function changeLimits(before: KeyLimits, change: KeyLimitsChange): KeyLimits {
  const after = { ...before, ...change, weight: change.weight ?? (change.weight === null ? 1 : before.weight) };
  // A burst is the rate's: it goes with it.
  return change.rate === null && change.burst === undefined ? { ...after, burst: null } : after;
}

/** The predictions that may come at once under a rate. */
export function burstOf({ rate, burst }: { readonly rate: number; readonly burst: number | null }): number {
  return burst ?? Math.max(1, Math.ceil(rate));
}

/** Faults of limits as they would be, each with its pointer. */
export function assessLimits(limits: KeyLimits): FieldError[] {
  const faults: FieldError[] = [];
  for (const name of Object.keys(KEY_LIMIT_RANGES) as (keyof KeyLimits)[]) {
    const value = limits[name];
    if (value === null) continue;
    const [low, high] = KEY_LIMIT_RANGES[name];
    const whole = name === 'rate' || Number.isSafeInteger(value);
    if (!(value >= low && value <= high) || !whole) {
      const kind = name === 'rate' ? 'a number' : 'a whole number';
      faults.push({ pointer: `/limits/${name}`, message: `must be ${kind} from ${low} to ${high}` });
    }
  }
  if (limits.burst !== null && limits.rate === null) {
    faults.push({ pointer: '/limits/burst', message: 'needs a rate: it says how many may come at once under it' });
  }
  return faults;
}
