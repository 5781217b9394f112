import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * An API key: `slipway_live_<id>_<secret>_<crc32>`. The prefix and the checksum let secret scanners find leaked ones without false
 * alarms; letters, digits and underscores only, so that a double click selects all of it. Only a hash of the secret is stored: with
 * 256 random bits nothing slower than SHA-256 is needed.
 */
export type ParsedKey = { readonly id: string; readonly secret: string };

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const PREFIX = 'slipway_live_';
const ID_LENGTH = 12;
const SECRET_BYTES = 32;
/** 62^43 > 2^256 */
const SECRET_LENGTH = 43;
const FORM = new RegExp(`^${PREFIX}([0-9A-Za-z]{${ID_LENGTH}})_([0-9A-Za-z]{${SECRET_LENGTH}})_([0-9a-f]{8})$`);

/** A new key. Its text is shown once and never stored. */
export function makeKey(): ParsedKey & { readonly text: string } {
  const id = base62(randomBytes(9), ID_LENGTH).slice(-ID_LENGTH);
  const secret = base62(randomBytes(SECRET_BYTES), SECRET_LENGTH);
  return { id, secret, text: formatKey({ id, secret }) };
}

export function formatKey({ id, secret }: ParsedKey): string {
  const body = `${PREFIX}${id}_${secret}`;
  return `${body}_${checksum(body)}`;
}

/** @returns null when the text is no key or mistyped: the checksum says so without a look at the store */
export function parseKey(text: string): ParsedKey | null {
  const match = FORM.exec(text);
  if (!match) return null;
  const [, id, secret, sum] = match as unknown as [string, string, string, string];
  return checksum(`${PREFIX}${id}_${secret}`) === sum ? { id, secret } : null;
}

/** Hex SHA-256 of a key's secret part: what is stored. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Compares without telling by its time how much is equal. */
export function isSecret(secret: string, storedSha256: string): boolean {
  const given = Buffer.from(hashSecret(secret), 'hex');
  const stored = Buffer.from(storedSha256, 'hex');
  return stored.length === given.length && timingSafeEqual(given, stored);
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

function base62(bytes: Buffer, length: number): string {
  let rest = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  while (rest > 0n) {
    text = ALPHABET[Number(rest % 62n)]! + text;
    rest /= 62n;
  }
  return text.padStart(length, '0');
}
