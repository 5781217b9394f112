/** Typed elements of tensors, as InferTensorContents carries them. */
import { type FieldError, MAX_FIELD_ERRORS } from '../../base/errors.ts';
import type { Datatype } from '../../registry/signature.ts';
import { datatypeInfo } from '../tensors/datatype.ts';
import { readText } from '../tensors/raw-elements.ts';
import type { NumericData } from '../tensors/tensor.ts';
import { ProtobufFault, ProtobufReader, WIRE } from './protobuf/reader.ts';

type Elements = NumericData | string[];

/** The field of InferTensorContents for each type; 0 for those that are carried raw only. */
const FIELDS: Readonly<Record<Datatype, number>> = {
  BOOL: 1,
  INT8: 2,
  INT16: 2,
  INT32: 2,
  INT64: 3,
  UINT8: 4,
  UINT16: 4,
  UINT32: 4,
  UINT64: 5,
  FP32: 6,
  FP64: 7,
  BYTES: 8,
  FP16: 0,
  BF16: 0,
};
const FIELD_NAMES = [
  '',
  'bool_contents',
  'int_contents',
  'int64_contents',
  'uint_contents',
  'uint64_contents',
  'fp32_contents',
  'fp64_contents',
  'bytes_contents',
];
/** The letter U. */
const UNSIGNED = 85;
/** Ranges of the types that travel in wider fields. */
const RANGES: { readonly [type in Datatype]?: readonly [number, number] } = {
  INT8: [-128, 127],
  INT16: [-32_768, 32_767],
  UINT8: [0, 255],
  UINT16: [0, 65_535],
};

function storeText(texts: string[], i: number, bytes: Buffer, pointer: string, faults: FieldError[]): boolean {
  const text = readText(bytes);
  if (text === null) faults.push({ pointer, message: 'holds bytes that are no UTF-8 text' });
  else if (text.includes('\0')) {
    faults.push({ pointer, message: 'holds the character NUL, at which the model would cut it' });
  } else {
    texts[i] = text;
    return true;
  }
  return false;
}

const reader = new ProtobufReader();

/**
 * Typed elements.
 * @param contents the bytes of an InferTensorContents
 * @returns null when there was a fault
 */
export function readContents(
  datatype: Datatype,
  count: number,
  contents: Buffer,
  pointer: string,
  faults: FieldError[],
): Elements | null {
  const wanted = FIELDS[datatype];
  if (wanted === 0) {
    faults.push({ pointer, message: `cannot hold ${datatype}; send it in raw_input_contents` });
    return null;
  }
  const { array, bytes: size } = datatypeInfo(datatype);
  // Every element takes at least a byte; a shape that promises more gets no memory.
  if (count > contents.length) {
    faults.push({ pointer: `${pointer}/${FIELD_NAMES[wanted]}`, message: tooFew(count) });
    return null;
  }
  const elements: Elements = array === null ? new Array<string>(count) : new array(count);
  const before = faults.length;
  let filled = 0;
  reader.start(contents);
  try {
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const number = tag >>> 3;
      if (number > 8) {
        reader.skip(tag);
        continue;
      }
      const packed = (tag & 7) === WIRE.bytes && number !== 8;
      if (!packed && (tag & 7) !== wireOf(number)) reader.wrongType(tag);
      if (number !== wanted) {
        // An empty list of another type says nothing.
        if (packed && reader.view().length === 0) continue;
        const message = `is of the wrong type: elements of ${datatype} go into ${FIELD_NAMES[wanted]}`;
        faults.push({ pointer: `${pointer}/${FIELD_NAMES[number]}`, message });
        return null;
      }
      if (packed && (number === 6 || number === 7)) {
        const view = reader.view();
        const more = view.length / size;
        if (!Number.isInteger(more)) throw new ProtobufFault('a packed field is cut off');
        if (filled + more > count) return tooMany(faults, pointer, wanted, count);
        const target = elements as Float32Array;
        new Uint8Array(target.buffer, target.byteOffset + filled * size, view.length).set(view);
        filled += more;
        continue;
      }
      const outer = packed ? reader.open() : 0;
      do {
        if (packed && reader.at === reader.end) break;
        if (filled === count) return tooMany(faults, pointer, wanted, count);
        if (!readElement(datatype, elements, filled++, pointer, faults)) return null;
      } while (packed);
      if (packed) reader.close(outer);
    }
  } catch (error) {
    if (!(error instanceof ProtobufFault)) throw error;
    faults.push({ pointer, message: `is no InferTensorContents: ${error.message}` });
    return null;
  }
  if (filled < count) faults.push({ pointer: `${pointer}/${FIELD_NAMES[wanted]}`, message: tooFew(count, filled) });
  return faults.length === before ? elements : null;
}

/** @returns false when it is none and reading further is of no use */
function readElement(
  datatype: Datatype,
  elements: Elements,
  at: number,
  pointer: string,
  faults: FieldError[],
): boolean {
  switch (datatype) {
    case 'BOOL':
      (elements as Uint8Array)[at] = reader.bool() ? 1 : 0;
      return true;
    case 'INT64':
      (elements as BigInt64Array)[at] = reader.int64();
      return true;
    case 'UINT64':
      (elements as BigUint64Array)[at] = reader.uint64();
      return true;
    case 'FP32':
      (elements as Float32Array)[at] = reader.float();
      return true;
    case 'FP64':
      (elements as Float64Array)[at] = reader.double();
      return true;
    case 'BYTES':
      return storeText(elements as string[], at, reader.view(), `${pointer}/bytes_contents/${at}`, faults);
    default: {
      const value = datatype.charCodeAt(0) === UNSIGNED ? reader.uint32() : reader.int32();
      (elements as Int32Array)[at] = value;
      const range = RANGES[datatype];
      if (range === undefined || (value >= range[0] && value <= range[1])) return true;
      const name = FIELD_NAMES[FIELDS[datatype]];
      faults.push({
        pointer: `${pointer}/${name}/${at}`,
        message: `is out of range for ${datatype}: ${range[0]} to ${range[1]}`,
      });
      return faults.length < MAX_FIELD_ERRORS;
    }
  }
}

function wireOf(number: number): number {
  if (number === 6) return WIRE.fixed32;
  if (number === 7) return WIRE.fixed64;
  return number === 8 ? WIRE.bytes : WIRE.varint;
}

function tooFew(count: number, filled?: number): string {
  return filled === undefined
    ? `has too few elements; the shape needs ${count}`
    : `has ${filled} elements, the shape needs ${count}`;
}

function tooMany(faults: FieldError[], pointer: string, field: number, count: number): null {
  faults.push({
    pointer: `${pointer}/${FIELD_NAMES[field]}`,
    message: `has more elements than the ${count} of the shape`,
  });
  return null;
}
