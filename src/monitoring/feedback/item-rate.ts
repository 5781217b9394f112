import type { Clock } from '../../base/clock.ts';
import { SlipwayError } from '../../base/errors.ts';

/** Keys that are remembered at one time; the one that asked longest ago is forgotten first, with its bucket full again by then. */
const MAX_KEYS = 10_000;

export type ItemRate = {
  /** @throws SlipwayError `rate_limited` when the key has sent too many items of late; a request larger than the burst passes when the bucket is full */
  take(keyId: string, items: number): void;
};

/** A bucket of items for each key: `perSecond` flow in, up to `burst`. */
export function createItemRate(options: {
  readonly perSecond: number;
  readonly burst: number;
  readonly clock: Clock;
}): ItemRate {
  const { perSecond, burst, clock } = options;
  const buckets = new Map<string, { level: number; atMs: number }>();
  return {
    take(keyId, items) {
      if (perSecond === 0) return;
      const nowMs = clock.monotonicMs();
      const bucket = buckets.get(keyId) ?? { level: burst, atMs: nowMs };
      bucket.level = Math.min(burst, bucket.level + ((nowMs - bucket.atMs) / 1000) * perSecond);
      bucket.atMs = nowMs;
      buckets.delete(keyId);
      buckets.set(keyId, bucket);
      if (buckets.size > MAX_KEYS) buckets.delete(buckets.keys().next().value!);
      const needed = Math.min(items, burst);
      if (bucket.level < needed) {
        throw new SlipwayError('rate_limited', `This key may send ${perSecond} items of feedback a second`, {
          retryAfterS: Math.max(1, Math.ceil((needed - bucket.level) / perSecond)),
          hint: 'Send the same request again after Retry-After: what was taken before is recognised.',
        });
      }
      bucket.level -= items;
    },
  };
}
