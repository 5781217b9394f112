/** A whole ONNX graph with its numbers, read into memory: small graphs of tables only, never weights of gigabytes. */
import { ATTRIBUTE, GRAPH, MODEL, NODE, OPSET, TENSOR, TYPE } from '../../../registry/imports/onnx-types.ts';
import {
  bytesSource,
  createProtobufCursor,
  type Field,
  fieldsIn,
  int64,
  type ProtobufCursor,
} from '../../../registry/imports/protobuf-cursor.ts';
import { InvalidGraph, Uncovered } from './fault.ts';
import {
  createTextReader,
  NumberList,
  readDoubles,
  readFloats,
  readInt,
  readInts,
  type TextReader,
} from './packed-fields.ts';

/** A constant: numbers as doubles (all types but INT64 beyond 2^53 fit), or texts. */
export type Constant = {
  readonly name: string;
  /** TensorProto.DataType. */
  readonly elem: number;
  readonly dims: readonly number[];
  readonly numbers: Float64Array | null;
  readonly texts: readonly string[] | null;
};

export type Attribute = {
  readonly i: number | null;
  readonly f: number | null;
  readonly s: string | null;
  readonly ints: Float64Array;
  readonly floats: Float64Array;
  readonly strings: readonly string[];
  readonly tensor: Constant | null;
};

export type GraphNode = {
  readonly op: string;
  /** '' is the default domain. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
};

export type Graph = {
  readonly nodes: readonly GraphNode[];
  readonly constants: ReadonlyMap<string, Constant>;
  readonly opsets: ReadonlyMap<string, number>;
  /** Outputs that are declared as sequences: those of ZipMap. */
  readonly sequences: ReadonlySet<string>;
};

/** Larger files go to ONNX Runtime: reading them would take more memory than any table's model is worth. */
export const LARGEST_MODEL_BYTES = 256 * 1024 * 1024;
const MOST_NODES = 10_000;
const MOST_NAMES = 100_000;

/** @throws ProtobufFault, InvalidGraph, Uncovered */
export function readGraph(bytes: Uint8Array): Graph {
  if (bytes.length > LARGEST_MODEL_BYTES) throw new Uncovered('its file has more than 256 MiB');
  const cursor = createProtobufCursor(bytesSource(bytes));
  const text = createTextReader(bytes);
  const opsets = new Map<string, number>();
  let graph: Field | null = null;
  for (const field of fieldsIn(cursor, { start: 0, end: bytes.length })) {
    if (field.number === MODEL.graph && field.wire === 2) graph = field;
    else if (field.number === MODEL.functions) throw new Uncovered('it defines functions of its own');
    else if (field.number === MODEL.opsetImport && field.wire === 2) {
      let domain = '';
      let version = 0;
      for (const part of fieldsIn(cursor, field)) {
        if (part.number === OPSET.domain) domain = text(part);
        else if (part.number === OPSET.version) version = Number(int64(part.low, part.high));
      }
      opsets.set(domain === 'ai.onnx' ? '' : domain, version);
    }
  }
  if (graph === null) throw new InvalidGraph('it has no graph');
  const nodes: GraphNode[] = [];
  const constants = new Map<string, Constant>();
  const sequences = new Set<string>();
  for (const field of fieldsIn(cursor, graph)) {
    if (field.wire !== 2) continue;
    if (field.number === GRAPH.node) {
      if (nodes.length >= MOST_NODES) throw new Uncovered(`it has more than ${MOST_NODES} nodes`);
      nodes.push(readNode(cursor, bytes, text, field));
    } else if (field.number === GRAPH.initializer) {
      const constant = readTensor(cursor, bytes, text, field);
      constants.set(constant.name, constant);
    } else if (field.number === GRAPH.sparseInitializer) throw new Uncovered('it has sparse constants');
    else if (field.number === GRAPH.output) noteSequence(cursor, text, field, sequences);
    if (constants.size > MOST_NAMES) throw new Uncovered(`it has more than ${MOST_NAMES} constants`);
  }
  return { nodes, constants, opsets, sequences };
}

function noteSequence(cursor: ProtobufCursor, text: TextReader, field: Field, into: Set<string>): void {
  let name = '';
  let isSequence = false;
  for (const part of fieldsIn(cursor, field)) {
    if (part.number === 1 && part.wire === 2) name = text(part);
    else if (part.number === 2 && part.wire === 2) {
      isSequence = fieldsIn(cursor, part).some((type) => type.number === TYPE.sequence);
    }
  }
  if (isSequence) into.add(name);
}

function readNode(cursor: ProtobufCursor, bytes: Uint8Array, text: TextReader, field: Field): GraphNode {
  let op = '';
  let domain = '';
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, Attribute>();
  for (const part of fieldsIn(cursor, field)) {
    if (part.wire !== 2) continue;
    if (part.number === NODE.input) inputs.push(text(part));
    else if (part.number === NODE.output) outputs.push(text(part));
    else if (part.number === NODE.opType) op = text(part);
    else if (part.number === NODE.domain) domain = text(part);
    else if (part.number === NODE.attribute) {
      const [name, attribute] = readAttribute(cursor, bytes, text, part);
      attributes.set(name, attribute);
    }
    if (inputs.length + outputs.length > MOST_NAMES) throw new Uncovered('a node has too many inputs');
  }
  return { op, domain: domain === 'ai.onnx' ? '' : domain, inputs, outputs, attributes };
}

const ONE_FLOAT = ATTRIBUTE.floats * 8 + 5;
const ONE_INT = ATTRIBUTE.ints * 8;
const ONE_STRING = ATTRIBUTE.strings * 8 + 2;

function readAttribute(cursor: ProtobufCursor, bytes: Uint8Array, text: TextReader, field: Field): [string, Attribute] {
  let name = '';
  let i: number | null = null;
  let f: number | null = null;
  let s: string | null = null;
  const ints = new NumberList();
  const floats = new NumberList();
  const strings: string[] = [];
  let tensor: Constant | null = null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = field.start; at < field.end; ) {
    // Exporters write lists as one field for each element; an object for each would cost more than all else.
    const tag = bytes[at]!;
    if (tag === ONE_FLOAT && at + 5 <= field.end) {
      floats.push(view.getFloat32(at + 1, true));
      at += 5;
      continue;
    }
    if (tag === ONE_INT) {
      at = readInt(bytes, at + 1, field.end, ints);
      continue;
    }
    const length = bytes[at + 1]!;
    if (tag === ONE_STRING && length < 0x80 && at + 2 + length <= field.end) {
      strings.push(text({ start: at + 2, end: at + 2 + length }));
      at += 2 + length;
      continue;
    }
    cursor.enter({ start: at });
    const part = cursor.next(field.end);
    if (part === null) break;
    if (part.number === ATTRIBUTE.name && part.wire === 2) name = text(part);
    else if (part.number === ATTRIBUTE.i && part.wire === 0) i = Number(int64(part.low, part.high));
    else if (part.number === ATTRIBUTE.f && part.wire === 5) f = view.getFloat32(part.start, true);
    else if (part.number === ATTRIBUTE.s && part.wire === 2) s = text(part);
    else if (part.number === ATTRIBUTE.ints) readInts(bytes, part, ints);
    else if (part.number === ATTRIBUTE.floats) readFloats(bytes, part, floats);
    else if (part.number === ATTRIBUTE.strings && part.wire === 2) strings.push(text(part));
    else if (part.number === ATTRIBUTE.tensor && part.wire === 2) tensor = readTensor(cursor, bytes, text, part);
    else if (part.number === ATTRIBUTE.graph || part.number === ATTRIBUTE.graphs)
      throw new Uncovered('it has graphs inside its nodes (If, Loop or Scan)');
    at = part.end;
  }
  return [name, { i, f, s, ints: ints.done(), floats: floats.done(), strings, tensor }];
}

function readTensor(cursor: ProtobufCursor, bytes: Uint8Array, text: TextReader, field: Field): Constant {
  let name = '';
  let elem = 0;
  let raw: Field | null = null;
  const dims = new NumberList();
  const numbers = new NumberList();
  const texts: string[] = [];
  for (const part of fieldsIn(cursor, field)) {
    if (part.number === TENSOR.name && part.wire === 2) name = text(part);
    else if (part.number === TENSOR.dataType) elem = part.low;
    else if (part.number === TENSOR.dims) readInts(bytes, part, dims);
    else if (part.number === TENSOR.rawData && part.wire === 2) raw = part;
    else if (part.number === TENSOR.floatData) readFloats(bytes, part, numbers);
    else if (part.number === TENSOR.doubleData) readDoubles(bytes, part, numbers);
    else if (part.number === TENSOR.int32Data || part.number === TENSOR.int64Data || part.number === TENSOR.uint64Data)
      readInts(bytes, part, numbers);
    else if (part.number === TENSOR.stringData && part.wire === 2) texts.push(text(part));
    else if (part.number === TENSOR.externalData || (part.number === TENSOR.dataLocation && part.low === 1))
      throw new Uncovered('its weights lie in a file beside it');
  }
  const shape = [...dims.done()];
  const count = shape.reduce((product, size) => product * size, 1);
  const isText = elem === TEXT;
  if (raw !== null && !isText) readRaw(bytes, raw, elem, numbers);
  const length = isText ? texts.length : numbers.length;
  if (shape.some((size) => !(size >= 0)) || count !== length)
    throw new InvalidGraph(`the constant ${name} says that it has ${count} elements, and it has ${length}`);
  return { name, elem, dims: shape, numbers: isText ? null : numbers.done(), texts: isText ? texts : null };
}

const TEXT = 8;

/** By TensorProto.DataType: bytes of one element, and how it is read. */
const RAW: Readonly<Record<number, readonly [number, (view: DataView, at: number) => number]>> = {
  1: [4, (view, at) => view.getFloat32(at, true)],
  2: [1, (view, at) => view.getUint8(at)],
  3: [1, (view, at) => view.getInt8(at)],
  4: [2, (view, at) => view.getUint16(at, true)],
  5: [2, (view, at) => view.getInt16(at, true)],
  6: [4, (view, at) => view.getInt32(at, true)],
  7: [8, (view, at) => Number(view.getBigInt64(at, true))],
  9: [1, (view, at) => view.getUint8(at)],
  11: [8, (view, at) => view.getFloat64(at, true)],
  12: [4, (view, at) => view.getUint32(at, true)],
};

function readRaw(bytes: Uint8Array, field: Field, elem: number, into: NumberList): void {
  const row = RAW[elem];
  if (row === undefined) throw new Uncovered(`it has constants of type ${elem}`);
  const [size, read] = row;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if ((field.end - field.start) % size !== 0)
    throw new InvalidGraph('the bytes of a constant end in the middle of an element');
  for (let at = field.start; at < field.end; at += size) into.push(read(view, at));
}
