import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { SlipwayError } from '../../base/errors.ts';
import { decompressedBound, mostDecompressed, sizeText } from './received-bytes.ts';

export type BodyLimits = {
  /** Also after decompression. */
  readonly maxBytes: number;
  /** Bytes of all bodies being received at one time. */
  readonly budget: BodyBudget;
};

export type BodyBudget = { readonly maxBytes: number; usedBytes: number };

/** A body in many tiny chunks costs far more than its bytes; clients that stream send chunks of kilobytes. */
const FREE_CHUNKS = 4096;
const MIN_AVERAGE_CHUNK_BYTES = 256;
/** Bodies up to this size are not counted against the budget, so that the usual one costs nothing. */
const UNCOUNTED_BYTES = 64 * 1024;

type Decode = (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;

/** A Map, because callers choose what is looked up: an object would find `constructor` too. */
const DECODERS: ReadonlyMap<string, Decode> = new Map<string, Decode>([
  ['gzip', promisify(gunzip)],
  ['x-gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
]);

export type Done = (error: SlipwayError | null, body: Buffer | null) => void;

/**
 * Reads a whole body. `done` is called once, unless the client goes away first: then never.
 * @param goOn tells a client that waits for leave (Expect: 100-continue) to send its body
 */
export function readBody(
  request: IncomingMessage,
  limits: BodyLimits,
  goOn: (() => void) | undefined,
  done: Done,
): void {
  const { headers } = request;
  const encoding = headers['content-encoding'];
  const decode = encoding === undefined || encoding === 'identity' ? null : DECODERS.get(encoding.toLowerCase());
  // The HTTP parser refuses what is not chunked in the end, but lets a compression before it pass, unopened.
  const transfer = headers['transfer-encoding'];
  if (transfer !== undefined && /\S\s*,\s*chunked$/i.test(transfer)) {
    done(
      new SlipwayError('unsupported_media', 'The body comes in a transfer encoding other than chunked', {
        hint: 'To send it compressed, use Content-Encoding.',
      }),
      null,
    );
    return;
  }
  if (decode === undefined) {
    done(
      new SlipwayError('unsupported_media', `The body is encoded as ${JSON.stringify(encoding)}`, {
        hint: 'Send it as it is, or with Content-Encoding gzip or deflate.',
      }),
      null,
    );
    return;
  }
  if (Number(headers['content-length'] ?? 0) > limits.maxBytes) {
    done(tooLarge(sizeText(limits.maxBytes)), null);
    return;
  }
  goOn?.();
  let only: Buffer | null = null;
  let parts: Buffer[] | null = null;
  let bytes = 0;
  let chunks = 0;
  let counted = 0;
  let failed = false;

  const release = (): void => {
    limits.budget.usedBytes -= counted;
    counted = 0;
  };
  const fail = (error: SlipwayError): void => {
    failed = true;
    only = null;
    parts = null;
    release();
    done(error, null);
  };
  /** Only for large bodies: keeps the sum of all within its bound, also when the client goes away half-way. */
  const reserve = (more: number): void => {
    if (counted === 0) request.once('close', () => !request.complete && release());
    counted += more;
    limits.budget.usedBytes += more;
    if (limits.budget.usedBytes > limits.budget.maxBytes) {
      fail(
        new SlipwayError('overloaded', 'The server is receiving too many large bodies at once', {
          retryAfterS: 1,
          hint: 'Retry later, or send smaller bodies.',
        }),
      );
    }
  };

  request.on('data', (chunk: Buffer) => {
    if (failed) return;
    chunks += 1;
    bytes += chunk.length;
    if (bytes > limits.maxBytes) return fail(tooLarge(sizeText(limits.maxBytes)));
    if (chunks > FREE_CHUNKS && bytes < chunks * MIN_AVERAGE_CHUNK_BYTES) {
      return fail(
        new SlipwayError('invalid_request', `The body came in ${chunks} chunks of ${Math.ceil(bytes / chunks)} bytes`, {
          hint: 'Send it in larger chunks.',
        }),
      );
    }
    if (bytes > UNCOUNTED_BYTES) {
      reserve(counted === 0 ? bytes : chunk.length);
      if (failed) return;
    }
    if (only === null) only = chunk;
    else if (parts === null) parts = [only, chunk];
    else parts.push(chunk);
  });
  request.on('end', () => {
    if (failed) return;
    const raw = parts === null ? (only ?? Buffer.alloc(0)) : Buffer.concat(parts, bytes);
    if (decode === null) {
      release();
      return done(null, raw);
    }
    // What it may grow to is reserved before it grows; until it has, the compressed bytes are held too.
    const maxOutputLength = mostDecompressed(raw.length, limits.maxBytes);
    reserve(maxOutputLength);
    if (failed) return;
    decode(raw, { maxOutputLength }).then(
      (decoded) => {
        release();
        if (!request.destroyed || request.complete) done(null, decoded);
      },
      (error: unknown) => {
        release();
        done(decodeError(error, raw.length, limits), null);
      },
    );
  });
}

function decodeError(error: unknown, packedBytes: number, limits: BodyLimits): SlipwayError {
  if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') {
    return tooLarge(decompressedBound(packedBytes, limits.maxBytes));
  }
  return new SlipwayError('invalid_request', 'The body cannot be decompressed', {
    hint: 'Is it really encoded as Content-Encoding says?',
    cause: error,
  });
}

function tooLarge(bound: string): SlipwayError {
  return new SlipwayError('too_large', `The body is larger than ${bound}`, {
    hint: 'Send fewer rows at once. SLIPWAY_MAX_BODY is the limit.',
  });
}
