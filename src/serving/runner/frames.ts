/**
 * What crosses the socket pair between a gateway and a runner, and the socket between gateways. Everything is little endian and starts at a multiple of 8, so that
 * tensors are read in place as typed arrays.
 *
 *     frame   0 u32  size of the frame with this header, a multiple of 8
 *             4 u8   kind
 *             5 u8   0
 *             6 u16  number of tensors
 *             8 u32  id of the call; 0 in frames that are about none
 *            12 u32  rows: of the call (infer), of the run (result); bytes of the text (frames that carry JSON)
 *            16 f64  infer: deadline in host milliseconds (host-time.ts); result: milliseconds of the run
 *            24      tensors, or UTF-8 JSON
 *     tensor  0 u16  place in the signature's inputs or outputs; ascending
 *             2 u8   datatype code
 *             3 u8   rank
 *             4 u32  bytes of data
 *             8      rank x u32 dimensions, then zeros up to a multiple of 8
 *                    data, then zeros up to a multiple of 8. BYTES: count x u32 lengths, then the UTF-8 bytes one after another
 *
 * Neither side trusts the other: every length is checked before it is used, nothing is allocated on the strength of a number
 * that was only announced, and a frame that breaks a rule is a FrameError, which ends the connection.
 */
import type { TensorSpec } from '../../registry/signature.ts';
import { type DatatypeInfo, datatypeInfo } from '../tensors/datatype.ts';

export const HEADER_BYTES = 24;
/** Larger frames are refused. A request body is at most 64 MiB by default; the answer may be larger than its question. */
export const MAX_FRAME_BYTES = 256 * 1024 * 1024;
/** Bound of the frames that carry JSON: what to load, and words about it. */
export const MAX_JSON_BYTES = 4 * 1024 * 1024;
export const MAX_RANK = 32;

export const FRAME = {
  /** To the runner: what to load, as JSON. */
  load: 1,
  infer: 2,
  cancel: 3,
  /** From the runner: the step it is at, as JSON. */
  step: 4,
  ready: 5,
  /** It could not load, as JSON. */
  failed: 6,
  result: 7,
  /** This call could not be computed, as JSON. */
  fault: 8,
  /** This call was cancelled or its deadline passed before it was started. */
  skipped: 9,
  // Between gateways of one machine, where `infer`, `cancel`, `result` and `skipped` mean the same; see remote-message.ts.
  /** From a guest: the version that this connection is about, as JSON. */
  join: 10,
  /** From the owner: how that version is, as JSON. */
  status: 11,
  /** From a guest: whose the calls from here on are, as JSON. */
  flow: 12,
  /** From the owner: why this call has no outputs, as JSON. */
  refusal: 13,
  /** Both ways: what keys used of their quotas, as JSON; see gateway/quota-exchange.ts. */
  usage: 14,
} as const;

export type FrameKind = (typeof FRAME)[keyof typeof FRAME];

const LAST_KIND = 14;

export function isFrameKind(kind: number): kind is FrameKind {
  return kind >= 1 && kind <= LAST_KIND;
}

/** Bytes that are no frame, or a frame that breaks a rule above. */
export class FrameError extends Error {
  override name = 'FrameError';
}

/** Views on the memory in which a frame lies. */
export type FrameSource = {
  readonly bytes: Buffer;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
};

export function frameSource(bytes: Uint8Array): FrameSource {
  const { buffer, byteOffset, byteLength } = bytes;
  return {
    bytes: Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength),
    u32: new Uint32Array(buffer, byteOffset, byteLength >>> 2),
    f64: new Float64Array(buffer, byteOffset, byteLength >>> 3),
  };
}

/** A tensor of the signature as frames see it. */
export type FrameTensor = DatatypeInfo & { readonly name: string; readonly optional: boolean };

export function frameTensors(specs: readonly TensorSpec[]): readonly FrameTensor[] {
  return specs.map((spec) => ({ ...datatypeInfo(spec.datatype), name: spec.name, optional: spec.optional === true }));
}

export const align8 = (bytes: number): number => (bytes + 7) & ~7;

if (new Uint8Array(Uint32Array.of(1).buffer)[0] !== 1) {
  throw new Error('Slipway runs on little-endian machines only: tensors cross between processes as raw memory.');
}
