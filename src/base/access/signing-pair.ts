import { randomBytes } from 'node:crypto';

/**
 * What a client of AWS signs requests with, made for keys that ask for it. It is the key's second secret, and not made of the first: whoever
 * reads it where it is kept can sign predictions, and nothing else.
 */
export type SigningPair = { readonly accessKeyId: string; readonly secretAccessKey: string };

/** With it an id is as long as those of AWS are at least (16), which some clients see to. */
const PREFIX = 'SLIPWAY';
const ID = new RegExp(`^${PREFIX}([0-9A-Za-z]{12})$`);

/** 40 characters, as AWS has them: 240 random bits. */
export function makeSigningSecret(): string {
  return randomBytes(30).toString('base64');
}

export function accessKeyIdOf(keyId: string): string {
  return `${PREFIX}${keyId}`;
}

/** @returns null for an id that is none of ours */
export function keyIdOf(accessKeyId: string): string | null {
  return ID.exec(accessKeyId)?.[1] ?? null;
}
