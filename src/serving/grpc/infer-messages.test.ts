/** The two messages of a prediction, held against a reference codec over random values, both ways. Failures print their seed. */
import fc from 'fast-check';
import type protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { loadProtos } from '../../../test/fixtures/grpc-client.ts';
import { SlipwayError } from '../../base/errors.ts';
import { DATATYPES, type Datatype } from '../../registry/signature.ts';
import { datatypeInfo } from '../tensors/datatype.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import { rawOf } from '../tensors/raw-elements.ts';
import { elementCount } from '../tensors/shape.ts';
import type { NumericData, Tensor } from '../tensors/tensor.ts';
import { toInferRequest } from './infer-inputs.ts';
import { readInferRequest } from './infer-request.ts';
import { writeInferResponse } from './infer-response.ts';

const root = loadProtos();
const requestType = root.lookupType('inference.ModelInferRequest');
const responseType = root.lookupType('inference.ModelInferResponse');
const streamType = root.lookupType('inference.ModelStreamInferResponse');
const encode = (type: protobuf.Type, value: object): Buffer =>
  Buffer.from(type.encode(type.fromObject(value)).finish());

/** NUL would be cut by models, and a lone surrogate is no text. */
const text = fc.string({ unit: 'binary', maxLength: 40 }).map((given) => given.replaceAll('\0', '').toWellFormed());
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const parameter = fc.oneof(
  fc.boolean().map((value) => ({ sent: { bool_param: value }, read: value as unknown })),
  text.map((value) => ({ sent: { string_param: value }, read: value as unknown })),
  fc.double({ noNaN: true }).map((value) => ({ sent: { double_param: value }, read: value as unknown })),
  int64.map((value) => ({ sent: { int64_param: `${value}` }, read: safe(value) })),
  uint64.map((value) => ({ sent: { uint64_param: `${value}` }, read: safe(value) })),
);
const safe = (value: bigint): unknown => (Number.isSafeInteger(Number(value)) ? Number(value) : value);
const parameters = fc.dictionary(text, parameter, { maxKeys: 4, noNullPrototype: true });
const sentOf = (given: Record<string, { sent: object }>) =>
  Object.fromEntries(Object.entries(given).map(([key, { sent }]) => [key, sent]));
const readOf = (given: Record<string, { read: unknown }>) =>
  Object.keys(given).length === 0
    ? null
    : Object.fromEntries(Object.entries(given).map(([key, { read }]) => [key, read]));

test('A request is read as the reference codec wrote it', () => {
  const input = fc.record({
    name: text,
    datatype: text,
    shape: fc.array(fc.maxSafeInteger(), { maxLength: 6 }),
    parameters,
    contents: fc.array(fc.float({ noNaN: true }), { minLength: 1, maxLength: 5 }),
  });
  const request = fc.record({
    model_name: text,
    model_version: text,
    id: text,
    parameters,
    inputs: fc.array(input, { maxLength: 4 }),
    outputs: fc.array(fc.record({ name: text, parameters }), { maxLength: 4 }),
    raw: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 }),
  });
  fc.assert(
    fc.property(request, (one) => {
      const bytes = encode(requestType, {
        ...one,
        parameters: sentOf(one.parameters),
        inputs: one.inputs.map((given) => ({
          ...given,
          parameters: sentOf(given.parameters),
          contents: { fp32_contents: given.contents },
        })),
        outputs: one.outputs.map((given) => ({ ...given, parameters: sentOf(given.parameters) })),
        raw_input_contents: one.raw,
      });
      const read = readInferRequest(bytes);
      expect(read.modelName).toBe(one.model_name);
      expect(read.modelVersion).toBe(one.model_version);
      expect(read.id).toBe(one.id);
      expect({ ...read.parameters }).toEqual({ ...readOf(one.parameters) });
      expect(read.raw.map((raw) => [...raw])).toEqual(one.raw.map((raw) => [...raw]));
      expect(read.inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape }))).toEqual(
        one.inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
      );
      for (const [i, given] of one.inputs.entries()) {
        expect({ ...read.inputs[i]!.parameters }).toEqual({ ...readOf(given.parameters) });
        expect(read.inputs[i]!.contents).toHaveLength(given.contents.length * 4 + 2);
      }
      expect(read.outputs.map(({ name }) => name)).toEqual(one.outputs.map(({ name }) => name));
    }),
    { numRuns: 400 },
  );
});

/** A tensor of any type, with its elements as typed contents and raw. */
const tensorOf = (datatype: Datatype, name: string): fc.Arbitrary<Tensor> =>
  fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }).chain((shape): fc.Arbitrary<Tensor> => {
    const count = elementCount(shape)!;
    const { array, bytes } = datatypeInfo(datatype);
    if (array === null) {
      return fc.array(text, { minLength: count, maxLength: count }).map((data) => ({ name, datatype, shape, data }));
    }
    const size = count * bytes;
    return fc.uint8Array({ minLength: size, maxLength: size }).map((raw) => {
      if (datatype === 'BOOL') for (let i = 0; i < raw.length; i++) raw[i]! &= 1;
      const data = new array(raw.slice().buffer, 0, count);
      return { name, datatype, shape, data };
    });
  });

const FIELDS: Readonly<Record<Datatype, string | null>> = {
  BOOL: 'bool_contents',
  INT8: 'int_contents',
  INT16: 'int_contents',
  INT32: 'int_contents',
  INT64: 'int64_contents',
  UINT8: 'uint_contents',
  UINT16: 'uint_contents',
  UINT32: 'uint_contents',
  UINT64: 'uint64_contents',
  FP32: 'fp32_contents',
  FP64: 'fp64_contents',
  BYTES: 'bytes_contents',
  FP16: null,
  BF16: null,
};

function contentsOf({ datatype, data }: Tensor): object {
  const values: unknown[] = Array.isArray(data) ? [...data] : Array.from<unknown>(data as Float32Array);
  const written = values.map((value) => {
    if (datatype === 'BOOL') return value !== 0;
    if (datatype === 'BYTES') return Buffer.from(value as string);
    return typeof value === 'bigint' ? `${value}` : value;
  });
  return { [FIELDS[datatype]!]: written };
}

const targetOf = ({ name, datatype, shape }: Tensor): InputTarget => ({
  name: 'm@1',
  signature: {
    inputs: [{ name, datatype, shape: [-1, ...shape.slice(1)] }],
    outputs: [{ name: 'Y', datatype, shape: [-1] }],
  },
  canBatch: true,
});

/** NaNs have many bit patterns; JavaScript keeps those of raw bytes, and of typed floats the reference codec does not. */
const bitsOf = (tensor: Pick<Tensor, 'data'>): string => Buffer.from(rawOf(tensor)).toString('hex');

describe.each(DATATYPES.map((datatype) => [datatype] as const))('Tensors of %s', (datatype) => {
  test('arrive as they were sent, raw', () => {
    fc.assert(
      fc.property(tensorOf(datatype, 'X'), fc.integer({ min: 0, max: 7 }), (tensor, shift) => {
        const { name, shape } = tensor;
        const request = {
          model_name: 'm'.repeat(shift + 1),
          inputs: [{ name, datatype, shape }],
          raw_input_contents: [rawOf(tensor)],
        };
        const read = toInferRequest(readInferRequest(encode(requestType, request)), targetOf(tensor));
        expect(read.inputs).toHaveLength(1);
        expect(read.inputs[0]!.shape).toEqual(shape);
        expect(bitsOf(read.inputs[0]!)).toBe(bitsOf(tensor));
        expect(read.inputs[0]!.data.constructor).toBe(tensor.data.constructor);
        expect(read.rows).toBe(shape[0]);
      }),
      { numRuns: 60 },
    );
  });

  test.skipIf(FIELDS[datatype] === null)('arrive as they were sent, typed', () => {
    fc.assert(
      fc.property(tensorOf(datatype, 'X'), (tensor) => {
        const numbers = tensor.data as NumericData;
        if (datatype.startsWith('FP'))
          for (let i = 0; i < numbers.length; i++) if (Number.isNaN(numbers[i])) numbers[i] = 0;
        const { name, shape } = tensor;
        const request = { inputs: [{ name, datatype, shape, contents: contentsOf(tensor) }] };
        const read = toInferRequest(readInferRequest(encode(requestType, request)), targetOf(tensor));
        expect(bitsOf(read.inputs[0]!)).toBe(bitsOf(tensor));
      }),
      { numRuns: 60 },
    );
  });

  test('are answered as the reference codec reads them, alone and in a stream', () => {
    fc.assert(
      fc.property(tensorOf(datatype, 'Yü'), tensorOf(datatype, 'Z'), text, (one, two, id) => {
        const answer = { modelName: 'm', modelVersion: '12', id, outputs: [one, two] };
        const framed = writeInferResponse(answer, false);
        expect(framed[0]).toBe(0);
        expect(framed.readUInt32BE(1)).toBe(framed.length - 5);
        const said = responseType.toObject(responseType.decode(framed.subarray(5)), { longs: Number });
        expect(said).toMatchObject({ model_name: 'm', model_version: '12', ...(id === '' ? {} : { id }) });
        expect(said['outputs']).toEqual([one, two].map(({ name, shape }) => ({ name, datatype, shape })));
        const raw = (said['raw_output_contents'] as Buffer[]).map((bytes) => Buffer.from(bytes).toString('hex'));
        expect(raw).toEqual([bitsOf(one), bitsOf(two)]);
        const inStream = writeInferResponse(answer, true).subarray(5);
        expect(streamType.toObject(streamType.decode(inStream), { longs: Number })).toEqual({ infer_response: said });
      }),
      { numRuns: 40 },
    );
  });
});

describe('A message that is none', () => {
  const good = encode(requestType, {
    model_name: 'm',
    id: 'i',
    parameters: { priority: { int64_param: 1 } },
    inputs: [{ name: 'X', datatype: 'FP32', shape: [2, 3], contents: { fp32_contents: [1, 2, 3, 4, 5, 6] } }],
    outputs: [{ name: 'Y', parameters: { classification: { int64_param: 2 } } }],
    raw_input_contents: [],
  });
  const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
  const codeOf = (work: () => unknown): string => {
    try {
      work();
      return 'none';
    } catch (error) {
      if (error instanceof SlipwayError) return error.code;
      throw error;
    }
  };

  test.each([
    ['a field that is cut off', '0a 05 61'],
    ['a length of ten bytes', '0a ff ff ff ff ff ff ff ff ff 01'],
    ['a length that never ends', '0a ff ff ff ff ff ff ff ff ff ff ff 01'],
    ['a number of more than 64 bits', '40 ff ff ff ff ff ff ff ff ff 02'],
    ['the field number 0', '02 00'],
    ['a group', '43 44'],
    ['the end of a group', '0c'],
    ['the wire type 7', '47'],
    ['a name as a number', '08 01'],
    ['an input as a number', '28 01'],
    ['a shape as a float', '2a 05 1d 00 00 80 3f'],
    ['an input that reaches beyond the message', '2a 05 0a 01 61'],
    ['a name that reaches beyond its input', '2a 03 0a 05 61 62 63 64 65'],
    ['a name that is no UTF-8', '0a 02 c3 28'],
    ['a parameter without a value', '22 03 0a 01 61'],
    ['a parameter twice', '22 07 0a 01 61 12 02 08 01 22 07 0a 01 61 12 02 08 01'],
    ['contents twice', '2a 08 2a 02 10 01 2a 02 10 01'],
    ['a packed number that is cut off', '2a 04 1a 02 80 80'],
  ])('%s is refused', (_what, bytes) => {
    expect(codeOf(() => readInferRequest(hex(bytes)))).toBe('invalid_request');
  });

  test('fields that are not known are passed over, whatever their type', () => {
    const more = hex('f8 07 01 f9 07 01 02 03 04 05 06 07 08 fa 07 02 61 62 fd 07 01 02 03 04');
    expect(readInferRequest(Buffer.concat([more, good, more]))).toMatchObject({ modelName: 'm', id: 'i' });
  });

  test('many small things cost no more than they should', () => {
    const many = (piece: string, count: number) => Buffer.concat(new Array<Buffer>(count).fill(hex(piece)));
    expect(codeOf(() => readInferRequest(many('2a 00', 5000)))).toBe('invalid_request');
    expect(codeOf(() => readInferRequest(many('32 00', 5000)))).toBe('invalid_request');
    expect(codeOf(() => readInferRequest(many('3a 00', 5000)))).toBe('invalid_request');
    expect(
      codeOf(() => readInferRequest(Buffer.concat([hex('2a 82 01 1a 7f'), Buffer.alloc(127, 1), hex('00')]))),
    ).toBe('invalid_request');
  });

  test('a shape that promises much gets no memory', () => {
    const target = targetOf({ name: 'X', datatype: 'INT64', shape: [1, 1], data: new BigInt64Array(1) });
    const inputs = [{ name: 'X', datatype: 'INT64', shape: [2 ** 50, 1], contents: { int64_contents: [1] } }];
    const ask = (given: object) => () => toInferRequest(readInferRequest(encode(requestType, given)), target);
    expect(codeOf(ask({ inputs }))).toBe('invalid_input');
    const raw = [{ name: 'X', datatype: 'INT64', shape: [2 ** 50, 1] }];
    expect(codeOf(ask({ inputs: raw, raw_input_contents: [Buffer.alloc(8)] }))).toBe('invalid_input');
  });

  test('whatever is done to a good one, it is read or refused, never anything else', () => {
    const target: InputTarget = {
      name: 'm@1',
      signature: {
        inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 3] }],
        outputs: [{ name: 'Y', datatype: 'FP32', shape: [-1, 3] }],
      },
      canBatch: true,
    };
    expect(toInferRequest(readInferRequest(good), target)).toMatchObject({ rows: 2, priority: 'high', outputs: ['Y'] });
    const edit = fc.record({
      at: fc.nat(good.length - 1),
      byte: fc.nat(255),
      cut: fc.nat(3),
      add: fc.uint8Array({ maxLength: 3 }),
    });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        let bytes = Buffer.from(good);
        for (const { at, byte, cut, add } of edits) {
          if (at < bytes.length) bytes[at] = byte;
          bytes = Buffer.concat([bytes.subarray(0, at), add, bytes.subarray(at + cut)]);
        }
        const code = codeOf(() => toInferRequest(readInferRequest(bytes), target));
        expect(['none', 'invalid_request', 'invalid_input']).toContain(code);
      }),
      { numRuns: 5000 },
    );
  });
});
