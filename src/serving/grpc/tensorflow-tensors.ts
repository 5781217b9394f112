/**
 * TensorProto, both ways. Elements come as bytes (`tensor_content`) or as numbers in a field for their type; they are read straight into the tensor's memory, of which there is
 * never more than the message has bytes. Answers have numbers, because that is what TensorFlow Serving writes and its callers look for.
 */
import { type FieldError, MAX_FIELD_ERRORS } from '../../base/errors.ts';
import type { Datatype, TensorSpec } from '../../registry/signature.ts';
import { tensorflowTypeOf } from '../protocols/tensorflow-names.ts';
import { datatypeInfo } from '../tensors/datatype.ts';
import type { EncodedInput } from '../tensors/encoded-input.ts';
import { assessShape } from '../tensors/input-check.ts';
import { readRaw, readText } from '../tensors/raw-elements.ts';
import { elementCount } from '../tensors/shape.ts';
import type { NumericData, Tensor } from '../tensors/tensor.ts';
import { ProtobufReader, WIRE } from './protobuf/reader.ts';
import { ProtobufWriter } from './protobuf/writer.ts';

/** The field with the elements of each type (tensorflow/core/framework/tensor.proto). */
const FIELDS: Readonly<Record<Datatype, number>> = {
  FP32: 5,
  FP64: 6,
  INT32: 7,
  INT16: 7,
  INT8: 7,
  UINT8: 7,
  UINT16: 7,
  BYTES: 8,
  INT64: 10,
  BOOL: 11,
  FP16: 13,
  BF16: 13,
  UINT32: 16,
  UINT64: 17,
};
const RANGES: { readonly [type in Datatype]?: readonly [number, number] } = {
  INT8: [-128, 127],
  INT16: [-32_768, 32_767],
  UINT8: [0, 255],
  UINT16: [0, 65_535],
  BOOL: [0, 1],
  FP16: [0, 65_535],
  BF16: [0, 65_535],
};
/** One value may stand for all elements, as constants have it; for so many. */
const MOST_FILLED = 1_000_000;
const MAX_RANK = 64;

const reader = new ProtobufReader();

type Head = { dtype: number; shape: number[]; unknownRank: boolean; content: Buffer | null };

function readHead(bytes: Buffer): Head {
  const head: Head = { dtype: 0, shape: [], unknownRank: false, content: null };
  reader.start(bytes);
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 8) head.dtype = reader.int32();
    else if (tag === 18) readShape(head);
    else if (tag === 34) head.content = reader.view();
    else reader.skip(tag);
  }
  return head;
}

function readShape(head: Head): void {
  const outer = reader.open();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 18) {
      const inner = reader.open();
      let size = 0;
      for (let field = reader.tag(); field !== 0; field = reader.tag()) {
        if (field === 8) size = reader.safeInt64();
        else reader.skip(field);
      }
      reader.close(inner);
      if (head.shape.length < MAX_RANK) head.shape.push(size);
    } else if (tag === 24) head.unknownRank = reader.bool();
    else reader.skip(tag);
  }
  reader.close(outer);
}

/**
 * @param bytes a TensorProto
 * @returns null when there was a fault
 * @throws ProtobufFault
 */
export function readTensorProto(
  bytes: Buffer,
  spec: TensorSpec,
  pointer: string,
  faults: FieldError[],
): Tensor | EncodedInput | null {
  const { dtype, shape, unknownRank, content } = readHead(bytes);
  const fault = (message: string): null => {
    if (faults.length < MAX_FIELD_ERRORS) faults.push({ pointer, message });
    return null;
  };
  if (spec.decoder?.kind === 'image' && dtype === tensorflowTypeOf('BYTES').number)
    return readFiles(bytes, spec, shape, pointer, fault);
  if (dtype !== tensorflowTypeOf(spec.datatype).number) {
    return fault(`has the dtype ${dtype}, but ${spec.name} is ${tensorflowTypeOf(spec.datatype).dtype}`);
  }
  if (unknownRank) return fault('has a shape of unknown rank');
  if (shape.length === spec.shape.length - 1 && spec.shape.at(-1) === 1) shape.push(1);
  const misfit = shape.some(Number.isNaN) ? 'has a size beyond 2^53' : assessShape(spec, shape);
  if (misfit !== null) return fault(misfit);
  const count = elementCount(shape);
  if (count === null) return fault(`[${shape.join(',')}] has more elements than any tensor can`);
  const { name, datatype } = spec;
  if (content !== null && content.length > 0 && datatype !== 'BYTES') {
    const data = readRaw(datatype, count, content, `${pointer}/tensor_content`, faults);
    return data === null ? null : { name, datatype, shape, data };
  }
  const data = readValues(bytes, datatype, count, fault);
  return data === null ? null : { name, datatype, shape, data };
}

function readFiles(
  bytes: Buffer,
  spec: TensorSpec,
  shape: readonly number[],
  pointer: string,
  fault: (message: string) => null,
): EncodedInput | null {
  const files: Uint8Array[] = [];
  reader.start(bytes);
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === 66) files.push(reader.view());
    else reader.skip(tag);
  }
  if (shape.length > 1 || files.length !== (shape[0] ?? 1) || files.length === 0) {
    return fault(
      `has ${files.length} files and the shape [${shape.join(',')}]; one dimension, a file a row, is wanted`,
    );
  }
  return { name: spec.name, files, pointers: files.map((_, at) => `${pointer}/string_val/${at}`) };
}

type Elements = NumericData | string[];

function readValues(
  bytes: Buffer,
  datatype: Datatype,
  count: number,
  fault: (message: string) => null,
): Elements | null {
  const { array } = datatypeInfo(datatype);
  const field = FIELDS[datatype];
  // Each element takes a byte at least: a shape that promises more gets no memory.
  const most = Math.min(count, bytes.length);
  const target: Elements = array === null ? [] : new array(most);
  const store = storeOf(datatype, target, fault);
  let read = 0;
  reader.start(bytes);
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag >>> 3 !== field) reader.skip(tag);
    else if ((tag & 7) === WIRE.bytes && datatype !== 'BYTES') {
      const outer = reader.open();
      while (reader.at < reader.end) {
        if (read >= most) return fault(`has more than the ${count} elements of its shape`);
        if (!store(read++)) return null;
      }
      reader.close(outer);
    } else {
      if ((tag & 7) !== wireOf(datatype)) reader.wrongType(tag);
      if (read >= most) return fault(`has more than the ${count} elements of its shape`);
      if (!store(read++)) return null;
    }
  }
  if (read === count) return target;
  if (read !== 1) return fault(`has ${read} elements, its shape needs ${count}`);
  if (count > MOST_FILLED)
    return fault(`has one value for ${count} elements; at most ${MOST_FILLED} are filled with one`);
  if (array === null) return new Array<string>(count).fill((target as string[])[0]!);
  return new array(count).fill(target[0] as never) as NumericData;
}

function wireOf(datatype: Datatype): number {
  if (datatype === 'FP32') return WIRE.fixed32;
  if (datatype === 'FP64') return WIRE.fixed64;
  return datatype === 'BYTES' ? WIRE.bytes : WIRE.varint;
}

/** Puts the next element in its place; false, with a fault told, where it is none. */
function storeOf(datatype: Datatype, target: Elements, fault: (message: string) => null): (at: number) => boolean {
  const numbers = target as { [at: number]: number | bigint };
  switch (datatype) {
    case 'FP32':
      return (at) => {
        numbers[at] = reader.float();
        return true;
      };
    case 'FP64':
      return (at) => {
        numbers[at] = reader.double();
        return true;
      };
    case 'INT64':
      return (at) => {
        numbers[at] = reader.int64();
        return true;
      };
    case 'UINT64':
      return (at) => {
        numbers[at] = reader.uint64();
        return true;
      };
    case 'UINT32':
      return (at) => {
        numbers[at] = reader.uint32();
        return true;
      };
    case 'BYTES':
      return (at) => {
        const text = readText(reader.view());
        if (text === null || text.includes('\0')) {
          fault(
            `holds in element ${at} ${text === null ? 'bytes that are no UTF-8 text' : 'the character NUL, at which the model would cut it'}`,
          );
          return false;
        }
        (target as string[])[at] = text;
        return true;
      };
    default: {
      const [min, max] = RANGES[datatype] ?? [-(2 ** 31), 2 ** 31 - 1];
      return (at) => {
        const value = reader.int32();
        if (value < min || value > max) {
          fault(`holds ${value} in element ${at}, out of range for ${datatype}: ${min} to ${max}`);
          return false;
        }
        numbers[at] = value;
        return true;
      };
    }
  }
}

/** A TensorProto with its elements as numbers. */
export function writeTensorProto({ datatype, shape, data }: Tensor): Buffer {
  const writer = new ProtobufWriter();
  writer.tag(1, WIRE.varint);
  writer.varint32(tensorflowTypeOf(datatype).number);
  const dims = new ProtobufWriter();
  for (const size of shape) {
    const dim = new ProtobufWriter();
    dim.tag(1, WIRE.varint);
    dim.varint32(size);
    dims.tag(2, WIRE.bytes);
    dims.lengthAndBytes(dim.finish());
  }
  writer.tag(2, WIRE.bytes);
  writer.lengthAndBytes(dims.finish());
  const field = FIELDS[datatype];
  if (datatype === 'BYTES') {
    for (const text of data as readonly string[]) {
      writer.tag(field, WIRE.bytes);
      writer.lengthAndBytes(Buffer.from(text));
    }
  } else if (data.length > 0) {
    writer.tag(field, WIRE.bytes);
    writer.lengthAndBytes(packed(datatype, data as NumericData));
  }
  return writer.finish();
}

function packed(datatype: Datatype, data: NumericData): Uint8Array {
  // Floats are packed as they lie in memory.
  if (datatype === 'FP32' || datatype === 'FP64') return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const writer = new ProtobufWriter();
  if (datatype === 'INT64' || datatype === 'UINT64') for (const value of data as BigInt64Array) writer.varint64(value);
  else {
    for (const value of data as Int32Array) {
      if (value < 0) writer.varint64(BigInt(value));
      else writer.varint32(value);
    }
  }
  return writer.finish();
}
