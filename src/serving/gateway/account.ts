import { burstOf, type KeyLimits } from '../../base/access/key-limits.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Flow } from '../runner/runner.ts';

/**
 * What the gateway keeps of one key, or of all callers without one: how much of its quota is left, and its share in queues. One object
 * for the life of the key; nothing is made per request.
 *
 * The rate is held by the generic cell rate algorithm (ITU-T I.371): one number, the time at which everything admitted so far would be
 * paid for at the rate, says how much may still come at once. By the monotonic clock.
 */
export class Account implements Flow {
  readonly id: string | null;
  /** As messages name it. */
  readonly name: string;
  weight = 1;
  /** Predictions under way. */
  running = 0;
  /** The same at the other gateways of this machine, as heard last. */
  elsewhere = 0;
  admitted = 0;
  refusedByRate = 0;
  refusedByConcurrency = 0;
  /** Milliseconds between two predictions at the rate; 0: no rate. */
  #intervalMs = 0;
  #burst = 0;
  #concurrency = Number.POSITIVE_INFINITY;
  #paidUntilMs = 0;
  #policy: string | null = null;

  /** @param id of the key; null: of all callers without one */
  constructor(id: string | null, name: string, limits: KeyLimits) {
    this.id = id;
    this.name = name;
    this.limit(limits, 0);
  }

  /** Other limits; predictions that were made stay made. */
  limit({ rate, burst, concurrency, weight }: KeyLimits, nowMs: number): void {
    this.weight = weight;
    const unpaid = this.#intervalMs === 0 ? 0 : Math.max(0, this.#paidUntilMs - nowMs) / this.#intervalMs;
    this.#intervalMs = rate === null ? 0 : 1000 / rate;
    this.#paidUntilMs = nowMs + unpaid * this.#intervalMs;
    this.#burst = rate === null ? 0 : burstOf({ rate, burst });
    this.#concurrency = concurrency ?? Number.POSITIVE_INFINITY;
    const policies: string[] = [];
    if (rate !== null) policies.push(`"rate";q=${this.#burst};w=${Math.ceil(this.#burst / rate)}`);
    if (concurrency !== null) policies.push(`"concurrency";q=${concurrency};qu="concurrent-requests"`);
    this.#policy = policies.length === 0 ? null : policies.join(', ');
  }

  /**
   * Counts one prediction, before its body is read.
   * @throws SlipwayError `rate_limited`
   */
  admit(nowMs: number): void {
    if (this.running + this.elsewhere >= this.#concurrency) this.#refuseConcurrency();
    if (this.#intervalMs > 0) {
      const paidUntilMs = Math.max(this.#paidUntilMs, nowMs);
      const aheadMs = paidUntilMs - nowMs - (this.#burst - 1) * this.#intervalMs;
      // Sums of fractions: a billionth of a second is nobody's quota.
      if (aheadMs > 1e-6) this.#refuseRate(aheadMs);
      this.#paidUntilMs = paidUntilMs + this.#intervalMs;
    }
    this.admitted += 1;
  }

  /** Takes back what `admit` counted just now: the version has refused the prediction. */
  giveBack(): void {
    this.#paidUntilMs -= this.#intervalMs;
    this.admitted -= 1;
  }

  /**
   * A prediction begins to wait or compute; `end` is owed.
   * @throws SlipwayError `rate_limited` when others began meanwhile
   */
  begin(): void {
    if (this.running + this.elsewhere >= this.#concurrency) this.#refuseConcurrency();
    this.running += 1;
  }

  end(): void {
    this.running -= 1;
  }

  /** Whether it has a quota. */
  get isLimited(): boolean {
    return this.#policy !== null;
  }

  /** What the other gateways of this machine admitted since they were heard last counts against the rate here too. */
  hear(admitted: number, running: number, nowMs: number): void {
    this.elsewhere = running;
    if (this.#intervalMs > 0) this.#paidUntilMs = Math.max(this.#paidUntilMs, nowMs) + admitted * this.#intervalMs;
  }

  /**
   * `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), name and value in turn; null without a quota. `r` is what may
   * still come at once, `t` the seconds until all of the burst may.
   */
  headers(nowMs: number): readonly [string, string, string, string] | null {
    if (this.#policy === null) return null;
    const left: string[] = [];
    if (this.#intervalMs > 0) {
      const aheadMs = Math.max(0, this.#paidUntilMs - nowMs);
      const remaining = Math.max(0, Math.floor(this.#burst - aheadMs / this.#intervalMs + 1e-6));
      left.push(`"rate";r=${remaining};t=${Math.ceil(aheadMs / 1000)}`);
    }
    if (Number.isFinite(this.#concurrency)) {
      left.push(`"concurrency";r=${Math.max(0, this.#concurrency - this.running - this.elsewhere)}`);
    }
    return ['RateLimit-Policy', this.#policy, 'RateLimit', left.join(', ')];
  }

  #refuseRate(waitMs: number): never {
    this.refusedByRate += 1;
    const rate = Math.round((1000 / this.#intervalMs) * 1000) / 1000;
    throw new SlipwayError(
      'rate_limited',
      `${this.name} may make ${rate} predictions a second, ${this.#burst} at once, and has made them`,
      {
        // Callers that were refused together must not come back together.
        retryAfterS: Math.ceil((waitMs / 1000) * (1 + Math.random())),
        hint: 'Wait for the time in Retry-After, then go on more slowly; an administrator can raise the limit.',
      },
    );
  }

  #refuseConcurrency(): never {
    this.refusedByConcurrency += 1;
    throw new SlipwayError(
      'rate_limited',
      `${this.name} may have ${this.#concurrency} predictions under way at once, and has them`,
      {
        retryAfterS: 1 + Math.floor(Math.random() * 2),
        hint: 'Wait for answers before asking for more; an administrator can raise the limit.',
      },
    );
  }
}
