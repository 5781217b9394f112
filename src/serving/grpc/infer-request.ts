/**
 * ModelInferRequest, the hot message: read by hand, without looking at tensors before it is known what they are for. Everything is
 * bounded, because 64 MiB of two-byte fields would become gigabytes of objects.
 */
import { SlipwayError } from '../../base/errors.ts';
import { ProtobufFault, ProtobufReader, WIRE } from './protobuf/reader.ts';

export type WireInferRequest = {
  modelName: string;
  modelVersion: string;
  id: string;
  parameters: Parameters | null;
  readonly inputs: WireInput[];
  readonly outputs: WireOutput[];
  /** Views on the message. */
  readonly raw: Buffer[];
};

export type WireInput = {
  name: string;
  datatype: string;
  /** NaN where a size is beyond 2^53. */
  shape: number[];
  parameters: Parameters | null;
  /** The bytes of its InferTensorContents; null when it has none. */
  contents: Buffer | null;
};

export type WireOutput = { name: string; parameters: Parameters | null };

/** Values as JSON would have them; 64-bit integers beyond 2^53 as BigInt. */
export type Parameters = { [key: string]: boolean | number | bigint | string };

const MAX_ITEMS = 4096;
const MAX_RANK = 64;
const reader = new ProtobufReader();

const tagOf = (number: number, wire: number): number => number * 8 + wire;
const bytesTag = (number: number): number => tagOf(number, WIRE.bytes);

/** @throws SlipwayError `invalid_request` */
export function readInferRequest(bytes: Buffer): WireInferRequest {
  reader.start(bytes);
  try {
    return readRequest();
  } catch (error) {
    throw error instanceof ProtobufFault ? notAMessage(error) : error;
  }
}

function notAMessage(fault: ProtobufFault): SlipwayError {
  return new SlipwayError('invalid_request', `The message is no ModelInferRequest: ${fault.message}`, {
    hint: 'Use the .proto files that reflection gives.',
  });
}

function readRequest(): WireInferRequest {
  const request: WireInferRequest = {
    modelName: '',
    modelVersion: '',
    id: '',
    parameters: null,
    inputs: [],
    outputs: [],
    raw: [],
  };
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case bytesTag(1):
        request.modelName = reader.text();
        break;
      case bytesTag(2):
        request.modelVersion = reader.text();
        break;
      case bytesTag(3):
        request.id = reader.text();
        break;
      case bytesTag(4):
        request.parameters = readParameter(request.parameters);
        break;
      case bytesTag(5):
        assertRoom(request.inputs, 'inputs');
        request.inputs.push(readInput());
        break;
      case bytesTag(6):
        assertRoom(request.outputs, 'outputs');
        request.outputs.push(readOutput());
        break;
      case bytesTag(7):
        assertRoom(request.raw, 'raw_input_contents');
        request.raw.push(reader.view());
        break;
      default:
        skipUnknown(tag, 7);
    }
  }
  return request;
}

function readInput(): WireInput {
  const input: WireInput = { name: '', datatype: '', shape: [], parameters: null, contents: null };
  const outer = reader.open();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case bytesTag(1):
        input.name = reader.text();
        break;
      case bytesTag(2):
        input.datatype = reader.text();
        break;
      case bytesTag(3): {
        const packed = reader.open();
        while (reader.at < reader.end) pushSize(input.shape);
        reader.close(packed);
        break;
      }
      case tagOf(3, WIRE.varint):
        pushSize(input.shape);
        break;
      case bytesTag(4):
        input.parameters = readParameter(input.parameters);
        break;
      case bytesTag(5):
        if (input.contents !== null) throw new ProtobufFault('an input has contents twice');
        input.contents = reader.view();
        break;
      default:
        skipUnknown(tag, 5);
    }
  }
  reader.close(outer);
  return input;
}

function readOutput(): WireOutput {
  const output: WireOutput = { name: '', parameters: null };
  const outer = reader.open();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === bytesTag(1)) output.name = reader.text();
    else if (tag === bytesTag(2)) output.parameters = readParameter(output.parameters);
    else skipUnknown(tag, 2);
  }
  reader.close(outer);
  return output;
}

/** One entry of a map<string, InferParameter>. */
function readParameter(into: Parameters | null): Parameters {
  // Callers choose the keys: on an ordinary object `__proto__` would be no key.
  const parameters: Parameters = into ?? Object.create(null);
  let key = '';
  let value: Parameters[string] | null = null;
  const outer = reader.open();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === bytesTag(1)) key = reader.text();
    else if (tag === bytesTag(2)) value = readChoice();
    else skipUnknown(tag, 2);
  }
  reader.close(outer);
  if (value === null) throw new ProtobufFault('a parameter has no value');
  if (Object.hasOwn(parameters, key)) throw new ProtobufFault('a parameter is given twice');
  if (into !== null && Object.keys(into).length >= 64) throw new ProtobufFault('it has more than 64 parameters');
  parameters[key] = value;
  return parameters;
}

function readChoice(): Parameters[string] | null {
  let value: Parameters[string] | null = null;
  const outer = reader.open();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === tagOf(1, WIRE.varint)) value = reader.bool();
    else if (tag === tagOf(2, WIRE.varint)) value = exact(reader.int64());
    else if (tag === bytesTag(3)) value = reader.text();
    else if (tag === tagOf(4, WIRE.fixed64)) value = reader.double();
    else if (tag === tagOf(5, WIRE.varint)) value = exact(reader.uint64());
    else skipUnknown(tag, 5);
  }
  reader.close(outer);
  return value;
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function pushSize(shape: number[]): void {
  if (shape.length >= MAX_RANK) throw new ProtobufFault(`a shape has more than ${MAX_RANK} dimensions`);
  shape.push(reader.safeInt64());
}

function assertRoom(items: readonly unknown[], what: string): void {
  if (items.length >= MAX_ITEMS) throw new ProtobufFault(`it has more than ${MAX_ITEMS} ${what}`);
}

/** @param known the last field number of the message: one up to it can only have come with a wrong type */
function skipUnknown(tag: number, known: number): void {
  if (tag >>> 3 <= known) reader.wrongType(tag);
  reader.skip(tag);
}
