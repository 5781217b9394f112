import { promisify } from 'node:util';
import { constants, deflate, gzip } from 'node:zlib';
import type { WireAnswer } from '../protocols/protocol.ts';
import { weightedNames } from '../protocols/weighted-names.ts';

export type Coding = 'gzip' | 'deflate';

/** Below this an answer fits a few packets anyway, and compressing it takes longer than sending it. */
const WORTHWHILE_BYTES = 4 * 1024;
/** The fastest level: numbers as text shrink to a half by it, and the slower ones gain little more for several times the work. */
const OPTIONS = { level: constants.Z_BEST_SPEED };

const ENCODERS = { gzip: promisify(gzip), deflate: promisify(deflate) } as const;

/** The coding that a caller wants most for this answer; null for none. Callers who ask for none cost one look. */
export function codingFor(accept: string | undefined, content: string | WireAnswer): Coding | null {
  if (accept === undefined || sizeOf(content) < WORTHWHILE_BYTES) return null;
  // Events are to be seen as they come.
  if (typeof content !== 'string' && content.contentType.startsWith('text/event-stream')) return null;
  return preferredCoding(accept);
}

/**
 * RFC 9110, section 12.5.3: the highest weight wins, gzip of two equal ones; a weight of 0 forbids. No coding at all is always an answer,
 * and taken where it is named with a higher weight.
 */
export function preferredCoding(accept: string): Coding | null {
  const weights = new Map<string, number>();
  for (const { name, weight } of weightedNames(accept)) weights.set(name === 'x-gzip' ? 'gzip' : name, weight);
  const others = weights.get('*') ?? 0;
  const [forGzip, forDeflate] = [weights.get('gzip') ?? others, weights.get('deflate') ?? others];
  const best = Math.max(forGzip, forDeflate);
  if (best <= 0 || best < (weights.get('identity') ?? 0)) return null;
  return forGzip >= forDeflate ? 'gzip' : 'deflate';
}

/** Off the loop, whatever the size. */
export async function compress(content: string | WireAnswer, coding: Coding): Promise<WireAnswer> {
  const whole: WireAnswer = typeof content === 'string' ? { contentType: 'application/json', body: content } : content;
  const { body } = whole;
  const bytes = typeof body === 'string' || body instanceof Uint8Array ? body : Buffer.concat(body);
  return {
    contentType: whole.contentType,
    headers: [...(whole.headers ?? []), 'Content-Encoding', coding, 'Vary', 'Accept-Encoding'],
    body: await ENCODERS[coding](bytes, OPTIONS),
  };
}

function sizeOf(content: string | WireAnswer): number {
  if (typeof content === 'string') return content.length;
  const { body } = content;
  if (typeof body === 'string') return body.length;
  if (body instanceof Uint8Array) return body.byteLength;
  return body.reduce((sum, chunk) => sum + chunk.byteLength, 0);
}
