import { elementCount } from '../tensors/shape.ts';
import type { NumericData, Tensor } from '../tensors/tensor.ts';
import {
  align8,
  FrameError,
  type FrameKind,
  type FrameSource,
  type FrameTensor,
  frameSource,
  HEADER_BYTES,
  isFrameKind,
  MAX_FRAME_BYTES,
  MAX_JSON_BYTES,
  MAX_RANK,
} from './frames.ts';

const FIRST_CAPACITY = 64 * 1024;
/** Memory is taken for a whole frame at once, but for no more than this many times the bytes that came of it. */
const MOST_AHEAD = 16;

/** One whole frame at `at` in `source`; both are valid during the call, the memory as long as somebody holds a view of it. */
export type FrameHandler = (kind: FrameKind, source: FrameSource, at: number, size: number) => void;

export type FrameReader = {
  /** Takes bytes as they come and hands on each frame that they complete. @throws FrameError, and is of no use then */
  push(chunk: Uint8Array): void;
};

/**
 * Cuts a stream of bytes into frames. Frames that lie whole and aligned in a chunk are not copied; the part of a frame at a
 * chunk's end is, into memory that grows with the bytes which came, never with the size that a frame only announces.
 */
export function createFrameReader(handle: FrameHandler, maxFrameBytes = MAX_FRAME_BYTES): FrameReader {
  let partial = Buffer.alloc(0);
  let held = 0;

  const push = (chunk: Uint8Array): void => {
    let at = 0;
    if (held > 0) {
      at = complete(chunk);
      if (at === chunk.length) return;
    }
    const rest = at === 0 && (chunk.byteOffset & 7) === 0 ? chunk : aligned(chunk, at);
    const source = frameSource(rest);
    let start = 0;
    while (rest.length - start >= HEADER_BYTES) {
      const size = frameSize(source.u32[start >>> 2]!, maxFrameBytes);
      if (rest.length - start < size) break;
      hand(source, start, size);
      start += size;
    }
    if (start < rest.length) hold(rest.subarray(start));
  };

  /** Fills the frame under way from the chunk; gives the number of bytes used. */
  const complete = (chunk: Uint8Array): number => {
    let used = 0;
    if (held < HEADER_BYTES) {
      used = Math.min(HEADER_BYTES - held, chunk.length);
      hold(chunk.subarray(0, used));
      if (held < HEADER_BYTES) return used;
    }
    const size = frameSize(partial.readUInt32LE(0), maxFrameBytes);
    const more = Math.min(size - held, chunk.length - used);
    hold(chunk.subarray(used, used + more), size);
    used += more;
    if (held === size) {
      const source = frameSource(partial.subarray(0, size));
      // The frame's tensors are views on this memory: it is theirs now.
      partial = Buffer.alloc(0);
      held = 0;
      hand(source, 0, size);
    }
    return used;
  };

  const hold = (bytes: Uint8Array, announced = FIRST_CAPACITY): void => {
    const needed = held + bytes.length;
    if (needed > partial.length) {
      const most = Math.max(MOST_AHEAD * needed, FIRST_CAPACITY);
      const grown = Buffer.allocUnsafeSlow(align8(Math.max(needed, Math.min(announced, most))));
      partial.copy(grown, 0, 0, held);
      partial = grown;
    }
    partial.set(bytes, held);
    held = needed;
  };

  const hand = (source: FrameSource, at: number, size: number): void => {
    const kind = source.u32[(at >>> 2) + 1]! & 0xffff;
    if (!isFrameKind(kind)) throw new FrameError(`there is no frame of kind ${kind}`);
    handle(kind, source, at, size);
  };

  return { push };
}

function frameSize(size: number, most: number): number {
  if (size < HEADER_BYTES || size > most || (size & 7) !== 0) throw new FrameError(`a frame has ${size} bytes`);
  return size;
}

function aligned(chunk: Uint8Array, from: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(chunk.length - from);
  copy.set(from === 0 ? chunk : chunk.subarray(from));
  return copy;
}

/** Hands a chunk to a reader. @returns what in it broke the rules, and ended the reading; null while they are kept */
export function violationIn(reader: FrameReader, chunk: Uint8Array): string | null {
  try {
    reader.push(chunk);
    return null;
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    return error.message;
  }
}

/** The object of a frame that carries JSON; what its members are is for the caller to check. @throws FrameError */
export function readJson(source: FrameSource, at: number, size: number): object {
  const bytes = source.u32[(at >>> 2) + 3]!;
  if (bytes > size - HEADER_BYTES || bytes > MAX_JSON_BYTES) throw new FrameError('a text is longer than its frame');
  let value: unknown;
  try {
    value = JSON.parse(source.bytes.toString('utf8', at + HEADER_BYTES, at + HEADER_BYTES + bytes));
  } catch {
    throw new FrameError('a text is not JSON');
  }
  if (typeof value !== 'object' || value === null) throw new FrameError('a text is no JSON object');
  return value;
}

/**
 * The tensors of an infer or result frame, by the signature; numbers are views on the frame's memory.
 * @throws FrameError
 */
export function readTensors(source: FrameSource, at: number, size: number, specs: readonly FrameTensor[]): Tensor[] {
  const { u32, bytes } = source;
  const count = u32[(at >>> 2) + 1]! >>> 16;
  const end = at + size;
  const tensors: Tensor[] = [];
  let next = 0;
  let position = at + HEADER_BYTES;
  for (let i = 0; i < count; i++) {
    if (end - position < 8) throw new FrameError('a frame ends inside a tensor');
    const word = u32[position >>> 2]!;
    const dataBytes = u32[(position >>> 2) + 1]!;
    const index = word & 0xffff;
    const rank = word >>> 24;
    const spec = specs[index];
    if (spec === undefined || index < next || rank > MAX_RANK)
      throw new FrameError('a tensor is not one of the signature');
    for (; next < index; next++) requireOptional(specs[next]!);
    next++;
    if (((word >>> 16) & 0xff) !== spec.code) throw new FrameError(`${spec.name} is not ${spec.datatype}`);
    position += 8;
    const shapeBytes = align8(rank * 4);
    if (end - position < shapeBytes || end - position - shapeBytes < dataBytes)
      throw new FrameError('a tensor is larger than its frame');
    const shape = new Array<number>(rank);
    for (let d = 0; d < rank; d++) shape[d] = u32[(position >>> 2) + d]!;
    position += shapeBytes;
    const elements = elementCount(shape);
    if (elements === null) throw new FrameError(`the shape of ${spec.name} is too large`);
    const data =
      spec.array === null
        ? readStrings(bytes, u32, position, dataBytes, elements)
        : readNumbers(bytes, position, dataBytes, elements, spec);
    tensors.push({ name: spec.name, datatype: spec.datatype, shape, data });
    position += align8(dataBytes);
  }
  for (; next < specs.length; next++) requireOptional(specs[next]!);
  if (position !== end) throw new FrameError('a frame has bytes after its tensors');
  return tensors;
}

function requireOptional(spec: FrameTensor): void {
  if (!spec.optional) throw new FrameError(`${spec.name} is missing`);
}

function readNumbers(bytes: Buffer, at: number, size: number, elements: number, spec: FrameTensor): NumericData {
  if (elements * spec.bytes !== size)
    throw new FrameError(`the data of ${spec.name} does not have the size of its shape`);
  return new spec.array!(bytes.buffer, bytes.byteOffset + at, elements);
}

function readStrings(bytes: Buffer, u32: Uint32Array, at: number, size: number, count: number): string[] {
  if (count * 4 > size) throw new FrameError('strings are missing');
  const strings: string[] = [];
  let from = at + count * 4;
  const end = at + size;
  for (let i = 0; i < count; i++) {
    const length = u32[(at >>> 2) + i]!;
    if (length > end - from) throw new FrameError('a string is larger than its tensor');
    strings.push(bytes.toString('utf8', from, from + length));
    from += length;
  }
  if (from !== end) throw new FrameError('a tensor has bytes after its strings');
  return strings;
}
