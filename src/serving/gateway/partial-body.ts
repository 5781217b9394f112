import type { LeanHead } from './lean-head.ts';

/** A body of which a part is here. */
export type PartialBody = {
  readonly head: LeanHead;
  /** From the first byte of the head. */
  readonly bytes: Buffer[];
  have: number;
  readonly bodyAt: number;
  readonly need: number;
  readonly sinceMs: number;
  movedMs: number;
};

/** The whole body in memory of its own, so placed that tensors behind a JSON header start at a multiple of 8 and need no copy. */
export function bodyOf({ head, bytes, bodyAt, need }: PartialBody): Buffer {
  const jsonBytes = Number(head.headers['inference-header-content-length'] ?? 0);
  const pad = Number.isSafeInteger(jsonBytes) ? (8 - (jsonBytes % 8)) % 8 : 0;
  const memory = Buffer.allocUnsafeSlow(pad + need - bodyAt);
  let from = bodyAt;
  let at = pad;
  for (const piece of bytes) {
    if (from < piece.length) at += piece.copy(memory, at, from);
    from = Math.max(0, from - piece.length);
  }
  return memory.subarray(pad);
}
