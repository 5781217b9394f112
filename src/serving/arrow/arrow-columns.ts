/** The values of one record batch or dictionary, column by column (Arrow's "Physical memory layout"). */
import { isUtf8 } from 'node:buffer';
import { numbersOfHalf } from '../tensors/half.ts';
import { ArrowFault } from './arrow-fault.ts';
import { type ArrowField, type ArrowType, shown } from './arrow-schema.ts';
import type { FlatTable } from './flat-table.ts';

/** A column's values in one batch, lists laid flat. */
export type ArrowChunk = {
  /** Sizes of the lists in a row, outermost first; empty for plain values. */
  readonly dims: readonly number[];
  /** Numbers, BigInt, booleans, strings, or Uint8Array for binary. Those of nulls mean nothing. */
  readonly values: ArrayLike<unknown>;
  /** By place in `values`; null where there is no null. */
  readonly isNull: ((at: number) => boolean) | null;
};

/** What a whole stream may unfold to. */
export type Budget = { cells: number; textBytes: number };

type IsNull = ArrowChunk['isNull'];

const INTEGERS = {
  true: { 8: Int8Array, 16: Int16Array, 32: Int32Array, 64: BigInt64Array },
  false: { 8: Uint8Array, 16: Uint16Array, 32: Uint32Array, 64: BigUint64Array },
} as const;
const FLOATS = { 16: Uint16Array, 32: Float32Array, 64: Float64Array } as const;
type NumberArray = {
  new (buffer: ArrayBufferLike, offset: number, length: number): ArrayLike<unknown>;
  BYTES_PER_ELEMENT: number;
};
const VIEW_BYTES = 16;
const INLINE_BYTES = 12;

export class ColumnReader {
  readonly #body: Uint8Array;
  readonly #nodes: readonly number[];
  readonly #buffers: readonly number[];
  readonly #viewBuffers: readonly number[];
  readonly #dictionaries: ReadonlyMap<string, ArrowChunk>;
  readonly #budget: Budget;
  #node = 0;
  #buffer = 0;
  #view = 0;

  /** @param header the table RecordBatch */
  constructor(header: FlatTable, body: Uint8Array, dictionaries: ReadonlyMap<string, ArrowChunk>, budget: Budget) {
    if (header.has(3)) {
      throw new ArrowFault(
        'has compressed buffers; write it without (pyarrow: IpcWriteOptions(compression=None)) and use Content-Encoding: gzip instead',
      );
    }
    this.#body = body;
    this.#nodes = header.sizes(1, 2);
    this.#buffers = header.sizes(2, 2);
    this.#viewBuffers = header.sizes(4, 1);
    this.#dictionaries = dictionaries;
    this.#budget = budget;
  }

  column(field: ArrowField, rows: number): ArrowChunk {
    return this.#read(field, 0, rows, true);
  }

  end(): void {
    if (this.#node * 2 !== this.#nodes.length || this.#buffer * 2 !== this.#buffers.length) {
      throw new ArrowFault('is damaged: a table has more parts than its columns');
    }
  }

  /** @param exact whether the column has no more than these values; lists may point at a part of theirs */
  #read(field: ArrowField, from: number, count: number, exact: boolean): ArrowChunk {
    const length = this.#nodes[this.#node * 2];
    const nulls = this.#nodes[this.#node * 2 + 1];
    this.#node += 1;
    if (length === undefined || nulls === undefined || (exact ? length !== count : length < from + count)) {
      throw new ArrowFault(`is damaged: column ${shown(field.name)} has another number of values than its table`);
    }
    const { type } = field;
    if (type.kind === 'null') {
      this.#spend(count);
      return { dims: [], values: new Array<null>(count).fill(null), isNull: () => true };
    }
    const isNull = this.#validity(field, nulls, from, count);
    if (field.dictionary !== null) return this.#encoded(field, field.dictionary, from, count, isNull);
    switch (type.kind) {
      case 'list':
        return this.#list(field, type, from, count, isNull);
      case 'fixedList': {
        if (isNull !== null) throw new ArrowFault(`has in column ${shown(field.name)} a missing list`);
        const items = count * type.size;
        if (!Number.isSafeInteger(items)) throw new ArrowFault('is damaged: a list is longer than any');
        const inner = this.#read(type.item, from * type.size, items, false);
        return { ...inner, dims: [type.size, ...inner.dims] };
      }
      case 'text':
        return { dims: [], values: this.#texts(field, type, from, count, isNull), isNull };
      case 'bool':
        return { dims: [], values: this.#bits(from, count), isNull };
      default:
        return { dims: [], values: this.#numbers(type, from, count), isNull };
    }
  }

  #spend(cells: number): void {
    this.#budget.cells -= cells;
    if (this.#budget.cells < 0) throw new ArrowFault('unfolds to far more values than its bytes');
  }

  /** The bytes of the next buffer. */
  #next(): Uint8Array {
    const offset = this.#buffers[this.#buffer * 2];
    const length = this.#buffers[this.#buffer * 2 + 1];
    this.#buffer += 1;
    if (offset === undefined || length === undefined) throw new ArrowFault('is damaged: a buffer is missing');
    if (offset + length > this.#body.length) throw new ArrowFault('is damaged: a buffer lies outside its message');
    return this.#body.subarray(offset, offset + length);
  }

  #validity(field: ArrowField, nulls: number, from: number, count: number): IsNull {
    const bits = this.#next();
    if (nulls === 0) return null;
    if (bits.length * 8 < from + count) {
      throw new ArrowFault(`is damaged: column ${shown(field.name)} does not say which of its values are missing`);
    }
    return (at) => ((bits[(from + at) >> 3]! >> ((from + at) & 7)) & 1) === 0;
  }

  #numbers(type: ArrowType & { kind: 'int' | 'float' }, from: number, count: number): ArrayLike<unknown> {
    this.#spend(count);
    const array: NumberArray = type.kind === 'float' ? FLOATS[type.bits] : INTEGERS[`${type.signed}`][type.bits];
    const values = slice(this.#next(), array, from, count);
    return type.kind === 'float' && type.bits === 16 ? numbersOfHalf('FP16', values as Uint16Array) : values;
  }

  #bits(from: number, count: number): ArrayLike<unknown> {
    const bits = this.#next();
    if (bits.length * 8 < from + count) throw tooShort();
    this.#spend(count);
    return Array.from({ length: count }, (_, at) => ((bits[(from + at) >> 3]! >> ((from + at) & 7)) & 1) === 1);
  }

  /** `count + 1` offsets, from `from` on; they never go back and end within `limit`. */
  #offsets(large: boolean, from: number, count: number): number[] {
    this.#spend(count);
    const bytes = this.#next();
    // A column of no values may leave its one offset out.
    if (count === 0 && bytes.length === 0) return [0];
    const raw = slice(bytes, large ? BigInt64Array : Int32Array, from, count + 1) as ArrayLike<number | bigint>;
    const offsets: number[] = [];
    for (let at = 0; at <= count; at++) {
      const offset = Number(raw[at]);
      if (offset < (at === 0 ? 0 : offsets[at - 1]!) || !Number.isSafeInteger(offset)) {
        throw new ArrowFault('is damaged: offsets are negative or go back');
      }
      offsets.push(offset);
    }
    return offsets;
  }

  #list(
    field: ArrowField,
    type: ArrowType & { kind: 'list' },
    from: number,
    count: number,
    isNull: IsNull,
  ): ArrowChunk {
    if (isNull !== null) throw new ArrowFault(`has in column ${shown(field.name)} a missing list`);
    const offsets = this.#offsets(type.large, from, count);
    const size = count === 0 ? 0 : offsets[1]! - offsets[0]!;
    for (let at = 1; at < count; at++) {
      const other = offsets[at + 1]! - offsets[at]!;
      if (other !== size) {
        throw new ArrowFault(
          `has in column ${shown(field.name)} lists of ${size} and of ${other} items; rows of a tensor have one size`,
        );
      }
    }
    const inner = this.#read(type.item, offsets[0]!, count * size, false);
    return { ...inner, dims: [size, ...inner.dims] };
  }

  #texts(
    field: ArrowField,
    type: ArrowType & { kind: 'text' },
    from: number,
    count: number,
    isNull: IsNull,
  ): ArrayLike<unknown> {
    const take = (bytes: Uint8Array, at: number): unknown => {
      this.#budget.textBytes -= bytes.length;
      if (this.#budget.textBytes < 0) throw new ArrowFault('unfolds to far more text than its bytes');
      if (type.binary) return bytes;
      if (!isUtf8(bytes))
        throw new ArrowFault(`has in column ${shown(field.name)}, value ${at + 1}, what is not UTF-8`);
      return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength).toString();
    };
    const values: unknown[] = [];
    if (type.form === 'view') {
      const viewAt = this.#views(from, count);
      for (let at = 0; at < count; at++) values.push(isNull?.(at) ? '' : take(viewAt(at), at));
      return values;
    }
    const offsets = this.#offsets(type.form === 'large', from, count);
    const data = this.#next();
    if (offsets.at(-1)! > data.length) throw tooShort();
    for (let at = 0; at < count; at++) {
      values.push(isNull?.(at) ? '' : take(data.subarray(offsets[at]!, offsets[at + 1]!), at));
    }
    return values;
  }

  /** Strings of up to 12 bytes lie in their view, longer ones in one of several buffers. */
  #views(from: number, count: number): (at: number) => Uint8Array {
    this.#spend(count);
    const views = this.#next();
    if (views.length < (from + count) * VIEW_BYTES) throw tooShort();
    const view = new DataView(views.buffer, views.byteOffset, views.byteLength);
    const many = this.#viewBuffers[this.#view];
    this.#view += 1;
    if (many === undefined || many > this.#buffers.length / 2 - this.#buffer) throw tooShort();
    const buffers = Array.from({ length: many }, () => this.#next());
    return (at) => {
      const start = (from + at) * VIEW_BYTES;
      const length = view.getInt32(start, true);
      if (length >= 0 && length <= INLINE_BYTES) return views.subarray(start + 4, start + 4 + length);
      const data = buffers[view.getInt32(start + 8, true)];
      const offset = view.getInt32(start + 12, true);
      if (length < 0 || offset < 0 || data === undefined || offset + length > data.length) throw tooShort();
      return data.subarray(offset, offset + length);
    };
  }

  #encoded(
    field: ArrowField,
    { id, index }: NonNullable<ArrowField['dictionary']>,
    from: number,
    count: number,
    isNull: IsNull,
  ): ArrowChunk {
    const places = this.#numbers(index, from, count) as ArrayLike<number | bigint>;
    const dictionary = this.#dictionaries.get(id);
    if (dictionary === undefined && count > 0) {
      throw new ArrowFault(`has no dictionary for column ${shown(field.name)}`);
    }
    const values: unknown[] = [];
    const missing = new Set<number>();
    for (let at = 0; at < count; at++) {
      const place = Number(places[at]);
      if (isNull?.(at) || dictionary!.isNull?.(place)) {
        missing.add(at);
        values.push('');
        continue;
      }
      if (!(place >= 0 && place < dictionary!.values.length)) {
        throw new ArrowFault(`has in column ${shown(field.name)}, value ${at + 1}, a place outside its dictionary`);
      }
      const value = dictionary!.values[place];
      if (typeof value === 'string') this.#budget.textBytes -= value.length;
      values.push(value);
    }
    if (this.#budget.textBytes < 0) throw new ArrowFault('unfolds to far more text than its bytes');
    return { dims: [], values, isNull: missing.size === 0 ? null : (at) => missing.has(at) };
  }
}

/** Elements of a buffer; copied where they do not lie at multiples of their size. */
function slice(bytes: Uint8Array, array: NumberArray, from: number, count: number): ArrayLike<unknown> {
  const size = array.BYTES_PER_ELEMENT;
  if (bytes.length < (from + count) * size) throw tooShort();
  const start = bytes.byteOffset + from * size;
  if (start % size === 0) return new array(bytes.buffer, start, count);
  const copy = new Uint8Array(count * size);
  copy.set(bytes.subarray(from * size, (from + count) * size));
  return new array(copy.buffer, 0, count);
}

function tooShort(): ArrowFault {
  return new ArrowFault('is damaged: a buffer is shorter than its values');
}
