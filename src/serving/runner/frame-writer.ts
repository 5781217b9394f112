import type { Duplex } from 'node:stream';
import { elementCount } from '../tensors/shape.ts';
import type { NumericData, Tensor } from '../tensors/tensor.ts';
import {
  align8,
  FRAME,
  FrameError,
  type FrameKind,
  type FrameTensor,
  HEADER_BYTES,
  MAX_FRAME_BYTES,
  MAX_RANK,
} from './frames.ts';

const FIRST_CAPACITY = 64 * 1024;
const LARGEST_KEPT = 4 * 1024 * 1024;
/** Numbers of this many bytes are sent from where they lie: copying them would cost more than another piece in a `writev`. */
const LEFT_IN_PLACE = 32 * 1024;
const ZEROS = new Uint8Array(8);

/** Bytes that lie outside the writer's block, and where in it they belong. */
type Piece = { readonly at: number; readonly bytes: Uint8Array };

/**
 * Writes frames one after another into one growing block of memory, so that all that a tick has to say leaves in one system
 * call; large numeric tensors stay where they are until then, so nobody may write over them. A class, because its fields
 * change with every frame of the hot path.
 */
export class FrameWriter {
  #bytes = Buffer.alloc(0);
  #u32 = new Uint32Array(0);
  #f64 = new Float64Array(0);
  #at = 0;
  #frame = 0;
  #tensors = 0;
  #pieces: Piece[] = [];
  #piecesBytes = 0;
  /** Pieces, and their bytes, of the frames before the one that is being written. */
  #piecesBefore = 0;
  #piecesBytesBefore = 0;

  get sizeBytes(): number {
    return this.#at + this.#piecesBytes;
  }

  /** A frame of a header only. */
  bare(kind: FrameKind, id: number): void {
    this.#begin(kind, id, 0, 0);
    this.#end();
  }

  json(kind: FrameKind, id: number, value: unknown): void {
    const text = JSON.stringify(value);
    const bytes = Buffer.byteLength(text);
    this.#begin(kind, id, bytes, 0);
    this.#reserve(align8(bytes));
    this.#bytes.write(text, this.#at);
    this.#pad(this.#at + bytes);
    this.#end();
  }

  /**
   * One call.
   * @throws FrameError when the inputs are not those of the signature or too large; nothing is written then
   */
  infer(id: number, rows: number, deadlineMs: number, inputs: readonly Tensor[], specs: readonly FrameTensor[]): void {
    this.#begin(FRAME.infer, id, rows, deadlineMs);
    try {
      let given = 0;
      for (let i = 0; i < specs.length; i++) {
        const spec = specs[i]!;
        const tensor = inputs[i]?.name === spec.name ? inputs[i] : inputs.find((input) => input.name === spec.name);
        if (tensor === undefined) {
          if (!spec.optional) throw new FrameError(`the input ${spec.name} is missing`);
          continue;
        }
        given++;
        if (elementCount(tensor.shape) !== tensor.data.length) {
          throw new FrameError(`the data of ${spec.name} does not have the size of its shape`);
        }
        this.#tensor(i, tensor, tensor.shape[0] ?? 1, 0, tensor.data.length, spec);
      }
      if (given !== inputs.length) throw new FrameError('there are inputs which the signature does not name');
      this.#end();
    } catch (error) {
      this.#takeBack();
      throw error;
    }
  }

  /**
   * The answer to one call: rows `from` up to `to` of each output of its run, or all of each where `to` is -1.
   * @throws FrameError when the outputs are not those of the signature or too large; nothing is written then
   */
  result(
    id: number,
    runRows: number,
    runMs: number,
    outputs: readonly Tensor[],
    specs: readonly FrameTensor[],
    from = 0,
    to = -1,
  ): void {
    this.#begin(FRAME.result, id, runRows, runMs);
    try {
      for (let i = 0; i < specs.length; i++) {
        const tensor = outputs[i]!;
        if (to < 0) {
          this.#tensor(i, tensor, tensor.shape[0] ?? 1, 0, tensor.data.length, specs[i]!);
        } else {
          const width = tensor.data.length / tensor.shape[0]!;
          this.#tensor(i, tensor, to - from, from * width, to * width, specs[i]!);
        }
      }
      this.#end();
    } catch (error) {
      this.#takeBack();
      throw error;
    }
  }

  /** Hands what was written to the socket, in one system call where the kernel takes it; the writer is empty then. */
  sendTo(socket: Duplex): void {
    if (this.#pieces.length === 0) socket.write(this.#bytes.subarray(0, this.#at));
    else {
      socket.cork();
      for (const part of this.#parts()) socket.write(part);
      socket.uncork();
    }
    // Nearly always the kernel has it all by now, and the memory can be written over.
    if (socket.writableLength > 0 || this.#bytes.length > LARGEST_KEPT) this.#release();
    this.clear();
  }

  /** A copy of what was written. */
  written(): Buffer {
    const copy = Buffer.allocUnsafeSlow(this.sizeBytes); // not pooled: it starts at a multiple of 8
    let at = 0;
    for (const part of this.#parts()) {
      copy.set(part, at);
      at += part.length;
    }
    return copy;
  }

  /** Forgets what was written. */
  clear(): void {
    this.#at = 0;
    this.#frame = 0;
    if (this.#pieces.length > 0) this.#pieces = [];
    this.#piecesBytes = 0;
  }

  *#parts(): Generator<Uint8Array> {
    let from = 0;
    for (const { at, bytes } of this.#pieces) {
      if (at > from) yield this.#bytes.subarray(from, at);
      yield bytes;
      from = at;
    }
    if (this.#at > from) yield this.#bytes.subarray(from, this.#at);
  }

  /** Somebody still reads the bytes: new memory is taken next time. */
  #release(): void {
    this.#bytes = Buffer.alloc(0);
    this.#u32 = new Uint32Array(0);
    this.#f64 = new Float64Array(0);
  }

  /** As if the frame under way had not been begun. */
  #takeBack(): void {
    this.#at = this.#frame;
    this.#pieces.length = this.#piecesBefore;
    this.#piecesBytes = this.#piecesBytesBefore;
  }

  #begin(kind: FrameKind, id: number, rows: number, value: number): void {
    this.#frame = this.#at;
    this.#tensors = 0;
    this.#piecesBefore = this.#pieces.length;
    this.#piecesBytesBefore = this.#piecesBytes;
    this.#reserve(HEADER_BYTES);
    const word = this.#at >>> 2;
    this.#u32[word + 1] = kind;
    this.#u32[word + 2] = id;
    this.#u32[word + 3] = rows;
    this.#f64[(this.#at >>> 3) + 2] = value;
    this.#at += HEADER_BYTES;
  }

  #end(): void {
    const size = this.#frameBytes();
    if (size > MAX_FRAME_BYTES) {
      this.#takeBack();
      throw new FrameError(`it has more than ${MAX_FRAME_BYTES / 1024 / 1024} MiB`);
    }
    const word = this.#frame >>> 2;
    this.#u32[word] = size;
    this.#u32[word + 1]! |= this.#tensors << 16;
  }

  #frameBytes(): number {
    return this.#at - this.#frame + this.#piecesBytes - this.#piecesBytesBefore;
  }

  #tensor(index: number, tensor: Tensor, rows: number, from: number, to: number, spec: FrameTensor): void {
    const { shape, data } = tensor;
    const rank = shape.length;
    if (tensor.datatype !== spec.datatype)
      throw new FrameError(`${spec.name} is ${tensor.datatype}, not ${spec.datatype}`);
    if (rank > MAX_RANK) throw new FrameError(`${spec.name} has more than ${MAX_RANK} dimensions`);
    const head = 8 + align8(rank * 4);
    this.#reserve(head);
    const start = this.#at;
    const word = start >>> 2;
    this.#u32[word] = index | (spec.code << 16) | (rank << 24);
    for (let i = 0; i < rank; i++) {
      const dimension = i === 0 ? rows : shape[i]!;
      if (dimension > 0xffff_ffff) throw new FrameError(`a dimension of ${spec.name} is too large`);
      this.#u32[word + 2 + i] = dimension;
    }
    if ((rank & 1) === 1) this.#u32[word + 2 + rank] = 0;
    this.#at = start + head;
    const bytes =
      spec.array === null
        ? this.#strings(data as readonly string[], from, to, spec)
        : this.#numbers(data as NumericData, from, to, spec);
    // Memory may have moved: u32 is the new one here.
    this.#u32[(start >>> 2) + 1] = bytes;
    this.#tensors++;
  }

  #numbers(data: NumericData, from: number, to: number, spec: FrameTensor): number {
    if (!(data instanceof spec.array!)) throw new FrameError(`${spec.name} does not hold ${spec.datatype} data`);
    const bytes = (to - from) * spec.bytes;
    // Copying bytes through a short-lived view costs about 60 ns more than a typed set, and needs no case per type.
    const view = new Uint8Array(data.buffer, data.byteOffset + from * spec.bytes, bytes);
    if (bytes >= LEFT_IN_PLACE) {
      this.#piece(view);
      if (bytes % 8 !== 0) this.#piece(ZEROS.subarray(bytes % 8));
      return bytes;
    }
    this.#reserve(align8(bytes));
    this.#bytes.set(view, this.#at);
    this.#pad(this.#at + bytes);
    return bytes;
  }

  #piece(bytes: Uint8Array): void {
    if (this.#frameBytes() + bytes.length > MAX_FRAME_BYTES) throw new FrameError('it is too large');
    this.#pieces.push({ at: this.#at, bytes });
    this.#piecesBytes += bytes.length;
  }

  #strings(data: readonly string[], from: number, to: number, spec: FrameTensor): number {
    const count = to - from;
    let most = 4 * count;
    for (let i = from; i < to; i++) most += data[i]!.length * 3;
    if (most > FIRST_CAPACITY) {
      most = 4 * count;
      for (let i = from; i < to; i++) most += Buffer.byteLength(data[i]!);
    }
    if (most > MAX_FRAME_BYTES) throw new FrameError(`${spec.name} is too large`);
    this.#reserve(align8(most));
    let end = this.#at + 4 * count;
    let word = this.#at >>> 2;
    for (let i = from; i < to; i++) {
      const text = data[i]!;
      // Half a surrogate pair has no UTF-8 form; it would come out as another character.
      if (!text.isWellFormed()) throw new FrameError(`a string of ${spec.name} has half of a surrogate pair`);
      const written = this.#bytes.write(text, end);
      this.#u32[word++] = written;
      end += written;
    }
    const bytes = end - this.#at;
    this.#pad(end);
    return bytes;
  }

  /** Moves to the next multiple of 8 after `end`, writing zeros. Room for them was reserved with the data. */
  #pad(end: number): void {
    const next = align8(end);
    for (let i = end; i < next; i++) this.#bytes[i] = 0;
    this.#at = next;
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#bytes.length) return;
    if (this.#frameBytes() + bytes > MAX_FRAME_BYTES) throw new FrameError('it is too large');
    let capacity = Math.max(FIRST_CAPACITY, this.#bytes.length);
    while (capacity < needed) capacity *= 2;
    const grown = Buffer.allocUnsafeSlow(capacity); // not pooled: it starts at a multiple of 8
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
    this.#u32 = new Uint32Array(grown.buffer, 0, capacity >>> 2);
    this.#f64 = new Float64Array(grown.buffer, 0, capacity >>> 3);
  }
}
