/** Writes one table as an Arrow IPC stream: schema, one record batch, end. */
import type { Datatype } from '../../registry/signature.ts';
import { numbersOfHalf } from '../tensors/half.ts';
import type { Tensor } from '../tensors/tensor.ts';
import {
  type FlatField,
  type FlatTableNode,
  int,
  sizes,
  string,
  table,
  tables,
  writeFlatBuffer,
} from './flat-writer.ts';

/** One column; `dims` are the sizes of the lists in a row. */
export type ArrowColumn = {
  readonly name: string;
  readonly datatype: Datatype;
  readonly dims: readonly number[];
  readonly data: Tensor['data'];
};

const V5 = 4;
const HEADERS = { schema: 1, batch: 3 } as const;
const TYPES = { int: 2, float: 3, utf8: 5, bool: 6, fixedList: 16 } as const;
const FLOATS: Readonly<Partial<Record<Datatype, number>>> = { FP16: 0, BF16: 1, FP32: 1, FP64: 2 };

export function writeArrowStream(rows: number, columns: readonly ArrowColumn[]): Uint8Array[] {
  const schema = table(null, tables(columns.map((column) => fieldOf(column, 0))));
  const nodes: number[] = [];
  const buffers: number[] = [];
  const body: Uint8Array[] = [];
  let bodyBytes = 0;
  const add = (bytes: Uint8Array): void => {
    buffers.push(bodyBytes, bytes.byteLength);
    const padding = -bytes.byteLength & 7;
    body.push(bytes);
    if (padding > 0) body.push(new Uint8Array(padding));
    bodyBytes += bytes.byteLength + padding;
  };
  for (const { dims, datatype, data } of columns) {
    let values = rows;
    nodes.push(values, 0);
    add(NOTHING);
    for (const size of dims) {
      values *= size;
      nodes.push(values, 0);
      add(NOTHING);
    }
    for (const bytes of valuesOf(datatype, data)) add(bytes);
  }
  const batch = table(int(8, rows), sizes(nodes, 2), sizes(buffers, 2));
  return [message(HEADERS.schema, schema, 0), message(HEADERS.batch, batch, bodyBytes), ...body, END];
}

const NOTHING = new Uint8Array(0);
const END = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0);

function message(kind: number, header: FlatTableNode, bodyBytes: number): Uint8Array {
  const meta = writeFlatBuffer(table(int(2, V5), int(1, kind), header, int(8, bodyBytes)));
  const padded = (meta.length + 7) & ~7;
  const out = Buffer.alloc(8 + padded);
  out.writeInt32LE(-1, 0);
  out.writeInt32LE(padded, 4);
  meta.copy(out, 8);
  return out;
}

/** @param depth of the lists around it */
function fieldOf(column: ArrowColumn, depth: number): FlatTableNode {
  const name = string(depth === 0 ? column.name : 'item');
  const size = column.dims[depth];
  const [type, details, children] =
    size === undefined
      ? [...typeOf(column.datatype), []]
      : [TYPES.fixedList, table(int(4, size)), [fieldOf(column, depth + 1)]];
  const nullable: FlatField | null = null;
  return table(name, nullable, int(1, type), details, null, tables(children));
}

function typeOf(datatype: Datatype): [number, FlatTableNode] {
  if (datatype === 'BYTES') return [TYPES.utf8, table()];
  if (datatype === 'BOOL') return [TYPES.bool, table()];
  const precision = FLOATS[datatype];
  if (precision !== undefined) return [TYPES.float, table(int(2, precision))];
  const bits = Number(/\d+$/.exec(datatype)![0]);
  return [TYPES.int, table(int(4, bits), datatype.startsWith('U') ? null : int(1, 1))];
}

function valuesOf(datatype: Datatype, data: Tensor['data']): Uint8Array[] {
  if (datatype === 'BYTES') return texts(data as readonly string[]);
  if (datatype === 'BOOL') return [bits(data as Uint8Array)];
  if (datatype === 'BF16') return [bytesOf(Float32Array.from(numbersOfHalf('BF16', data as Uint16Array)))];
  return [bytesOf(data as Exclude<Tensor['data'], readonly string[]>)];
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function bits(data: Uint8Array): Uint8Array {
  const packed = new Uint8Array((data.length + 7) >> 3);
  for (let at = 0; at < data.length; at++) if (data[at] !== 0) packed[at >> 3]! |= 1 << (at & 7);
  return packed;
}

function texts(data: readonly string[]): Uint8Array[] {
  const parts = data.map((text) => Buffer.from(text));
  const offsets = new Int32Array(parts.length + 1);
  for (const [at, part] of parts.entries()) offsets[at + 1] = offsets[at]! + part.length;
  return [bytesOf(offsets), Buffer.concat(parts)];
}
