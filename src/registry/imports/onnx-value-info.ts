import { message } from './onnx-messages.ts';
import {
  DIM,
  type OnnxDim,
  type OnnxType,
  type OnnxValue,
  SHAPE,
  TENSOR_TYPE,
  TYPE,
  VALUE_INFO,
} from './onnx-types.ts';
import { type Field, int64, type ProtobufCursor } from './protobuf-cursor.ts';

const MAX_RANK = 64;
/** Larger sizes than this cannot be addressed by anything that would run the model. */
const MAX_DIM = 2n ** 53n - 1n;

/** Reads a ValueInfoProto: the name and type of an input or output. */
export function readValueInfo(cursor: ProtobufCursor, field: Field): OnnxValue {
  let name = '';
  let type: OnnxType = { kind: 'unknown' };
  cursor.enter(field);
  for (let part = cursor.next(field.end); part; part = cursor.next(field.end)) {
    if (part.number === VALUE_INFO.name) name = cursor.text(message(cursor, part), 1024);
    else if (part.number === VALUE_INFO.type) type = readType(cursor, message(cursor, part));
    cursor.skip(part);
  }
  return { name, type };
}

/** Only the outermost kind of sequences and maps is of interest, so nothing here recurses. */
function readType(cursor: ProtobufCursor, field: Field): OnnxType {
  let type: OnnxType = { kind: 'unknown' };
  cursor.enter(field);
  for (let part = cursor.next(field.end); part; part = cursor.next(field.end)) {
    if (part.number === TYPE.tensor) type = readTensorType(cursor, message(cursor, part));
    else if (part.number === TYPE.sequence) type = { kind: 'sequence' };
    else if (part.number === TYPE.map) type = { kind: 'map' };
    else if (part.number === TYPE.optional) type = { kind: 'optional' };
    else if (part.number === TYPE.sparse) type = { kind: 'sparse' };
    else if (part.number === TYPE.opaque) type = { kind: 'opaque' };
    cursor.skip(part);
  }
  return type;
}

function readTensorType(cursor: ProtobufCursor, field: Field): OnnxType {
  let elemType = 0;
  let dims: OnnxDim[] | null = null;
  cursor.enter(field);
  for (let part = cursor.next(field.end); part; part = cursor.next(field.end)) {
    if (part.number === TENSOR_TYPE.elemType) elemType = part.low;
    else if (part.number === TENSOR_TYPE.shape) dims = readShape(cursor, message(cursor, part));
    cursor.skip(part);
  }
  return { kind: 'tensor', elemType, dims };
}

function readShape(cursor: ProtobufCursor, field: Field): OnnxDim[] {
  const dims: OnnxDim[] = [];
  cursor.enter(field);
  for (let part = cursor.next(field.end); part; part = cursor.next(field.end)) {
    if (part.number === SHAPE.dim) dims.push(readDim(cursor, message(cursor, part)));
    if (dims.length > MAX_RANK) throw cursor.fault(`a tensor has more than ${MAX_RANK} dimensions`);
    cursor.skip(part);
  }
  return dims;
}

/** Exporters write 0 or -1 for sizes they do not know. */
function readDim(cursor: ProtobufCursor, field: Field): OnnxDim {
  let dim: OnnxDim = null;
  cursor.enter(field);
  for (let part = cursor.next(field.end); part; part = cursor.next(field.end)) {
    if (part.number === DIM.param) dim = cursor.text(message(cursor, part), 1024) || null;
    else if (part.number === DIM.value) {
      const size = int64(part.low, part.high);
      if (size > MAX_DIM) throw cursor.fault('a dimension is larger than any memory');
      dim = size > 0n ? Number(size) : null;
    }
    cursor.skip(part);
  }
  return dim;
}
