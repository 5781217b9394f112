import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 4096;
const pool = Buffer.allocUnsafe(POOL_BYTES);
let poolAt = POOL_BYTES;
let lastMs = 0;
let sequence = 0;

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const HEX_OF_12_BITS = Array.from({ length: 4096 }, (_, bits) => bits.toString(16).padStart(3, '0'));
/** The time and the version, as all ids of one millisecond begin. */
let prefix = '';
let prefixMs = -1;

/**
 * A UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then a 12-bit counter in `rand_a` (§6.2 method 1) so that ids made
 * by one process sort in the order they were made, then 62 random bits. A clock that steps back keeps the last
 * millisecond until it catches up. Random bytes come from a pool: one system call per 500 ids.
 */
export function uuidv7(nowMs: number = Date.now()): string {
  if (nowMs > lastMs) {
    lastMs = nowMs;
    sequence = 0;
  } else if (++sequence > 0xfff) {
    lastMs += 1;
    sequence = 0;
  }
  if (poolAt + 8 > POOL_BYTES) {
    randomFillSync(pool);
    poolAt = 0;
  }
  const at = poolAt;
  poolAt += 8;
  if (lastMs !== prefixMs) {
    prefixMs = lastMs;
    const hex = lastMs.toString(16).padStart(12, '0');
    prefix = `${hex.slice(0, 8)}-${hex.slice(8)}-7`;
  }
  return (
    prefix +
    HEX_OF_12_BITS[sequence]! +
    '-' +
    HEX[0x80 | (pool[at]! & 0x3f)]! +
    HEX[pool[at + 1]!]! +
    '-' +
    HEX[pool[at + 2]!]! +
    HEX[pool[at + 3]!]! +
    HEX[pool[at + 4]!]! +
    HEX[pool[at + 5]!]! +
    HEX[pool[at + 6]!]! +
    HEX[pool[at + 7]!]!
  );
}

/** Names of projects, models, aliases and endpoints. No slash, no `@`, no dots that climb: a name is never a path. */
export const NAME_PATTERN = '^[a-z0-9][a-z0-9._-]{0,62}$';
const NAME = new RegExp(NAME_PATTERN);
export const NAME_RULE =
  'it starts with a lower-case letter or a digit and has at most 63 of a-z, 0-9, dot, dash and underscore';

export function isName(text: string): boolean {
  return NAME.test(text);
}

const REQUEST_ID = /^[A-Za-z0-9._:+/=-]{1,128}$/;

/** Whether a caller's own request id is taken over: it stands in headers, answers and logs as it came. */
export function isRequestId(given: unknown): given is string {
  return typeof given === 'string' && REQUEST_ID.test(given);
}
