/** Compression of gRPC messages: each by itself, as `grpc-encoding` says. */
import { promisify } from 'node:util';
import { deflate, gunzip, gzip, inflate } from 'node:zlib';
import { SlipwayError } from '../../base/errors.ts';
import { decompressedBound, mostDecompressed } from '../gateway/received-bytes.ts';
import { frameMessage, PREFIX_BYTES } from './message-frame.ts';
import { type MessageLimits, tooLarge } from './message-reader.ts';

type Coding = {
  readonly encode: (bytes: Buffer, options: { level: number }) => Promise<Buffer>;
  readonly decode: (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;
};

const CODINGS: ReadonlyMap<string, Coding> = new Map<string, Coding>([
  ['gzip', { encode: promisify(gzip), decode: promisify(gunzip) }],
  ['deflate', { encode: promisify(deflate), decode: promisify(inflate) }],
]);

/** Smaller messages do not shrink enough to be worth it. */
const MIN_BYTES = 1024;
const FAST = 1;

/**
 * @param encoding of `grpc-encoding`; absent: identity
 * @returns null for identity
 * @throws SlipwayError `unsupported_media`
 */
export function encodingOf(encoding: string | undefined): string | null {
  if (encoding === undefined || encoding === 'identity') return null;
  if (CODINGS.has(encoding)) return encoding;
  throw new SlipwayError(
    'unsupported_media',
    `Messages encoded as ${JSON.stringify(encoding.slice(0, 50))} cannot be read`,
    {
      hint: 'Send them as identity, gzip or deflate.',
    },
  );
}

/** The encoding of answers: that of the request, where the client says that it reads it. */
export function answerEncoding(asked: string | null, accepted: string | undefined): string | null {
  if (asked === null || accepted === undefined) return null;
  return accepted.split(',').some((one) => one.trim() === asked) ? asked : null;
}

/** @throws SlipwayError `too_large`, `overloaded`, `invalid_request` */
export async function decompress(bytes: Buffer, encoding: string | null, limits: MessageLimits): Promise<Buffer> {
  if (encoding === null) {
    throw new SlipwayError(
      'invalid_request',
      'A message is marked as compressed, but grpc-encoding names no compression',
    );
  }
  const { budget, maxBytes } = limits;
  const maxOutputLength = mostDecompressed(bytes.length, maxBytes);
  // What it may grow to is reserved before it grows.
  budget.usedBytes += maxOutputLength;
  try {
    if (budget.usedBytes > budget.maxBytes) {
      throw new SlipwayError('overloaded', 'The server is receiving too many large messages at once', {
        retryAfterS: 1,
      });
    }
    return await CODINGS.get(encoding)!.decode(bytes, { maxOutputLength });
  } catch (error) {
    if (error instanceof SlipwayError) throw error;
    if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') {
      throw tooLarge('A message', decompressedBound(bytes.length, maxBytes));
    }
    throw new SlipwayError('invalid_request', `A message is no ${encoding}`, { cause: error });
  } finally {
    budget.usedBytes -= maxOutputLength;
  }
}

export function isWorthCompressing(framed: Buffer): boolean {
  return framed.length >= MIN_BYTES;
}

/** @param framed a message behind its prefix @returns the same compressed, behind its own */
export async function compress(framed: Buffer, encoding: string): Promise<Buffer> {
  const packed = await CODINGS.get(encoding)!.encode(framed.subarray(PREFIX_BYTES), { level: FAST });
  return frameMessage(packed, true);
}
