/** The binary tensor extension and classification, on the protocol alone. */
import { describe, expect, it } from 'vitest';
import type { SlipwayError } from '../../base/errors.ts';
import { DATATYPES, type Datatype, type Signature, type TensorSpec } from '../../registry/signature.ts';
import { datatypeInfo } from '../tensors/datatype.ts';
import { rawOf } from '../tensors/raw-elements.ts';
import type { NumericData, Tensor } from '../tensors/tensor.ts';
import { openInference } from './open-inference.ts';
import type { InferRequest, InferRoute, WireAnswer, WireCall } from './protocol.ts';

const infer = openInference.routes.find((route): route is InferRoute => route.kind === 'infer')!;
const spec = (name: string, datatype: Datatype, ...shape: number[]): TensorSpec => ({ name, datatype, shape });
const targetOf = (inputs: TensorSpec[], outputs: TensorSpec[] = inputs) => ({
  name: 'm@1',
  signature: { inputs, outputs },
  canBatch: true,
});

/** A body of JSON and what follows it; `shift` moves the raw bytes off their alignment. */
function binary(json: unknown, parts: readonly Uint8Array[] = [], header?: string): WireCall {
  const text = Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
  return {
    body: Buffer.concat([text, ...parts]),
    headers: { 'inference-header-content-length': header ?? `${text.length}` },
  };
}

function fault(call: WireCall, target: Parameters<InferRoute['parse']>[1]): string {
  try {
    infer.parse(call, target);
  } catch (error) {
    const { message, fields, kind } = error as SlipwayError;
    expect(kind).toBe('invalid');
    return [message, ...fields.map((field) => `${field.pointer} ${field.message}`)].join('\n');
  }
  return '';
}

function read(answer: string | WireAnswer): { json: { outputs: Record<string, unknown>[] }; rest: Buffer } {
  const { body, headers = [], contentType } = answer as WireAnswer;
  expect(contentType).toBe('application/octet-stream');
  const bytes = Array.isArray(body) ? Buffer.concat(body) : Buffer.from(body as Uint8Array);
  const size = Number(headers[headers.indexOf('Inference-Header-Content-Length') + 1]);
  return { json: JSON.parse(bytes.subarray(0, size).toString()), rest: bytes.subarray(size) };
}

const answered = (signature: Signature) => ({ endpoint: 'm', version: 1, predictionId: 'p', signature });
const SAMPLES: { readonly [type in Datatype]?: NumericData | readonly string[] } = {
  BOOL: Uint8Array.of(1, 0),
  INT64: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n),
  UINT64: BigUint64Array.of(0n, 2n ** 64n - 1n),
  FP16: Uint16Array.of(0x7c00, 0x3c01),
  BF16: Uint16Array.of(0x7f80, 0x3f81),
  FP32: Float32Array.of(Number.NaN, 0.1),
  BYTES: ['', 'ünï ✓ 𝄞'],
};
const sampleOf = (datatype: Datatype): NumericData | readonly string[] => {
  const { array } = datatypeInfo(datatype);
  if (SAMPLES[datatype] !== undefined) return SAMPLES[datatype];
  const data = new array!(2);
  data[1] = 77;
  return data;
};

describe('binary tensors', () => {
  it('sizes that do not agree are told before elements are read', () => {
    const target = targetOf([spec('A', 'FP32', -1), spec('S', 'BYTES', -1)]);
    const a = { name: 'A', datatype: 'FP32', shape: [1], data: [1] };
    const s = { name: 'S', datatype: 'BYTES', shape: [2], parameters: { binary_data_size: 8 } };
    const broken = Buffer.from([0, 0, 0, 0, 9, 0, 0, 0]);
    const said = fault(binary({ inputs: [a, s] }, [broken]), target);
    expect(said).toContain('/inputs/1/shape dimension 0 of S is 2, but that of A is 1');
    expect(said).not.toContain('binary_data_size');
    const equal = fault(binary({ inputs: [{ ...a, shape: [2], data: [1, 2] }, s] }, [broken]), target);
    expect(equal).toContain('/inputs/1/parameters/binary_data_size ends within element 1');
  });

  it.each(DATATYPES)('%s goes in and out unchanged, aligned or not', (datatype) => {
    const tensor: Tensor = { name: 'X', datatype, shape: [2, 1], data: sampleOf(datatype) };
    const target = targetOf([spec('X', datatype, -1, 1)]);
    for (const id of ['', '1', '12', '123', '1234', '12345', '123456', '1234567']) {
      const bytes = rawOf(tensor);
      const input = { name: 'X', datatype, shape: [2, 1], parameters: { binary_data_size: bytes.byteLength } };
      const document = { id, inputs: [input], parameters: { binary_data_output: true } };
      const request = infer.parse(binary(document, [bytes]), target);
      expect(request.inputs).toEqual([tensor]);
      expect(request.rows).toBe(2);
      const { json, rest } = read(infer.write(request, [tensor], answered(target.signature)));
      expect(json.outputs).toEqual([
        { name: 'X', datatype, shape: [2, 1], parameters: { binary_data_size: bytes.byteLength } },
      ]);
      expect(rest).toEqual(Buffer.from(bytes));
    }
  });

  it('numbers are a view on the body where they lie aligned', () => {
    const text = JSON.stringify({
      inputs: [{ name: 'X', datatype: 'FP32', shape: [2, 1], parameters: { binary_data_size: 8 } }],
    });
    const size = Math.ceil(text.length / 4) * 4;
    const body = new Uint8Array(size + 8);
    body.set(Buffer.from(text.padEnd(size)));
    body.set(rawOf({ data: Float32Array.of(1, 2) }), size);
    const call = { body, headers: { 'inference-header-content-length': `${size}` } };
    const [tensor] = infer.parse(call, targetOf([spec('X', 'FP32', -1, 1)])).inputs;
    expect((tensor!.data as Float32Array).buffer).toBe(body.buffer);
  });

  const pair = targetOf([spec('A', 'FP32', -1, 1), spec('B', 'INT8', -1, 2)]);
  const A = { name: 'A', datatype: 'FP32', shape: [1, 1], data: [1.5] };
  const B = { name: 'B', datatype: 'INT8', shape: [1, 2], parameters: { binary_data_size: 2 } };
  const tensors: Tensor[] = [
    { name: 'A', datatype: 'FP32', shape: [1, 1], data: Float32Array.of(1.5) },
    { name: 'B', datatype: 'INT8', shape: [1, 2], data: Int8Array.of(-1, 7) },
  ];

  it('JSON and binary mix, in requests and in answers; what an output says itself wins', () => {
    const document = {
      inputs: [A, B],
      parameters: { binary_data_output: true },
      outputs: [{ name: 'B' }, { name: 'A', parameters: { binary_data: false } }],
    };
    const request = infer.parse(binary(document, [Uint8Array.of(255, 7)]), pair);
    expect(request.inputs).toEqual(tensors);
    const { json, rest } = read(infer.write(request, tensors, answered(pair.signature)));
    expect(json.outputs).toEqual([
      { name: 'B', datatype: 'INT8', shape: [1, 2], parameters: { binary_data_size: 2 } },
      { name: 'A', datatype: 'FP32', shape: [1, 1], data: [1.5] },
    ]);
    expect([...rest]).toEqual([255, 7]);
  });

  it('an answer all in JSON is text, whatever came in', () => {
    const request = infer.parse(binary({ inputs: [A, B] }, [Uint8Array.of(255, 7)]), pair);
    expect(infer.write(request, tensors, answered(pair.signature))).toBeTypeOf('string');
  });

  it('large tensors are handed on without a copy', () => {
    const data = new Float32Array(100_000);
    const output: Tensor = { name: 'A', datatype: 'FP32', shape: [100_000, 1], data };
    const form = { binary: [true], classes: [0] };
    const request: InferRequest = { id: null, inputs: [], rows: 100_000, outputs: ['A'], form };
    const { body } = infer.write(request, [output], answered(pair.signature)) as WireAnswer;
    expect((body as Uint8Array[])[1]!.buffer).toBe(data.buffer);
  });

  it.each<[string, WireCall, RegExp]>([
    ['fewer bytes than said', binary({ inputs: [A, B] }, [Uint8Array.of(1)]), /binary_data_size is 2, but 1 bytes are/],
    ['more bytes than said', binary({ inputs: [A, B] }, [new Uint8Array(3)]), /1 bytes behind the JSON that belong to/],
    [
      'a size that is not that of the shape',
      binary({ inputs: [A, { ...B, parameters: { binary_data_size: 3 } }] }, [new Uint8Array(3)]),
      /\/inputs\/1\/parameters\/binary_data_size is 3 bytes, but 2 elements of INT8 take 2/,
    ],
    [
      'a size beyond any body',
      binary(`{"inputs":[{"name":"B","datatype":"INT8","shape":[1,2],"parameters":{"binary_data_size":1e30}}]}`),
      /\/inputs\/0\/parameters\/binary_data_size is 9007199254740991, but 0 bytes are left/,
    ],
    ['a negative size', binary({ inputs: [{ ...B, parameters: { binary_data_size: -2 } }] }), /must be a whole number/],
    ['a size of text', binary({ inputs: [{ ...B, parameters: { binary_data_size: '2' } }] }), /must be a whole number/],
    [
      'data and bytes',
      binary({ inputs: [A, { ...B, data: [1, 2] }] }, [new Uint8Array(2)]),
      /\/inputs\/1\/data is given beside binary_data_size/,
    ],
    [
      'a shape that overflows',
      binary({ inputs: [A, { ...B, shape: [2 ** 52, 2] }] }, [new Uint8Array(2)]),
      /\/inputs\/1\/shape \[4503599627370496,2\] has more elements than any tensor can/,
    ],
    ['no JSON where there should be', binary('', [new Uint8Array(3)], '3'), /JSON/],
    ['a header beyond the body', binary({ inputs: [] }, [], '100'), /should be in range \(0, 13\), got: 100/],
    ['a header of 10^30', binary({ inputs: [] }, [], `1${'0'.repeat(30)}`), /should be in range \(0, 13\), got: 10000/],
    ['a negative header', binary({ inputs: [] }, [], '-1'), /should be in range \(0, 13\), got: -1/],
    ['a header of words', binary({ inputs: [] }, [], 'all\u00e9'), /should be in range \(0, 13\), got: all\?/],
    ['an empty header', binary({ inputs: [] }, [], ''), /should be in range \(0, 13\), got: /],
    ['two headers', binary({ inputs: [] }, [], '13, 13'), /should be in range \(0, 13\), got: 13, 13/],
    ['a header that cuts the JSON', binary({ inputs: [A, B] }, [new Uint8Array(2)], '20'), /JSON/],
    ['shared memory', binary({ inputs: [{ ...B, parameters: { shared_memory_region: 'r' } }] }), /is not offered/],
  ])('%s is a fault of the caller', (_title, call, message) => {
    expect(fault(call, pair)).toMatch(message);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['cut in a length', Uint8Array.of(1, 0), /too few for 1 elements/],
    ['cut in a text', Uint8Array.of(5, 0, 0, 0, 65), /ends within element 0/],
    ['a length of 2^32 - 1', Uint8Array.of(255, 255, 255, 255, 65), /ends within element 0/],
    ['one text too many', Uint8Array.of(1, 0, 0, 0, 65, 0, 0, 0, 0), /has 4 bytes after its 1 elements/],
    ['no UTF-8', Uint8Array.of(1, 0, 0, 0, 255), /no UTF-8 text in element 0/],
    ['NUL', Uint8Array.of(2, 0, 0, 0, 65, 0), /the character NUL in element 0/],
  ])('BYTES: %s', (_title, bytes, message) => {
    const input = { name: 'S', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: bytes.length } };
    expect(fault(binary({ inputs: [input] }, [bytes]), targetOf([spec('S', 'BYTES', -1)]))).toMatch(message);
  });

  it('the replacement character itself is text', () => {
    const bytes = rawOf({ data: ['\ufffd'] });
    const input = { name: 'S', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: bytes.length } };
    const request = infer.parse(binary({ inputs: [input] }, [bytes]), targetOf([spec('S', 'BYTES', -1)]));
    expect(request.inputs[0]!.data).toEqual(['\ufffd']);
  });

  it('a BOOL of 2 is refused', () => {
    const input = { name: 'X', datatype: 'BOOL', shape: [2], parameters: { binary_data_size: 2 } };
    expect(fault(binary({ inputs: [input] }, [Uint8Array.of(0, 2)]), targetOf([spec('X', 'BOOL', -1)]))).toMatch(
      /holds the byte 2 at 1/,
    );
  });

  it('an input at fault does not move the bytes of the next', () => {
    const wrong = { ...B, name: 'W' };
    const text = fault(binary({ inputs: [wrong, A, B] }, [Uint8Array.of(0, 0, 255, 7)]), pair);
    expect(text).toMatch(/\/inputs\/0\/name "W" is not an input/);
    expect(text).not.toMatch(/inputs\/2/);
  });

  it('whether a large body is parsed fast depends on text and JSON in it', () => {
    const fast = (header: string | undefined, datatype: Datatype): boolean =>
      infer.parsesFast!(
        { body: Buffer.alloc(0), headers: { 'inference-header-content-length': header } },
        targetOf([spec('X', datatype, -1)]),
      );
    expect([fast('100', 'FP32'), fast('100', 'BYTES'), fast(undefined, 'FP32'), fast('5000000', 'FP32')]).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });
});

describe('raw requests', () => {
  const raw = (bytes: Uint8Array): WireCall => ({ body: bytes, headers: { 'inference-header-content-length': '0' } });
  const parse = (inputSpec: TensorSpec, data: NumericData): InferRequest =>
    infer.parse(raw(rawOf({ data })), targetOf([inputSpec]));

  it.each([
    ['a free number of rows', [-1, 3], 6, [2, 3]],
    ['rows and one more free size', [-1, -1], 5, [1, 5]],
    ['a fixed shape', [2, 2], 4, [2, 2]],
    ['a vector', [-1], 7, [7]],
    ['a free size inside', [1, -1, 2], 6, [1, 3, 2]],
  ] as const)('%s', (_title, shape, count, read) => {
    const request = parse(spec('X', 'FP32', ...shape), new Float32Array(count).fill(1));
    expect(request.inputs[0]!.shape).toEqual(read);
    expect(request.inputs[0]!.data).toEqual(new Float32Array(count).fill(1));
  });

  it('all outputs come back binary', () => {
    const request = parse(spec('X', 'INT8', -1, 2), Int8Array.of(1, 2));
    const { json, rest } = read(
      infer.write(request, request.inputs, answered(targetOf([spec('X', 'INT8', -1, 2)]).signature)),
    );
    expect(json.outputs).toEqual([{ name: 'X', datatype: 'INT8', shape: [1, 2], parameters: { binary_data_size: 2 } }]);
    expect([...rest]).toEqual([1, 2]);
  });

  it('text is one element without a length', () => {
    const request = infer.parse(raw(Buffer.from('a whole text')), targetOf([spec('S', 'BYTES', -1, 1)]));
    expect(request.inputs).toEqual([{ name: 'S', datatype: 'BYTES', shape: [1, 1], data: ['a whole text'] }]);
  });

  it.each<[string, TensorSpec[], Uint8Array, RegExp]>([
    ['two inputs', [spec('A', 'FP32', -1), spec('B', 'FP32', -1)], new Uint8Array(4), /needs a model with one input/],
    ['bytes that are no rows', [spec('X', 'FP32', -1, 3)], new Uint8Array(13), /13 bytes, but 3 elements of FP32/],
    ['nothing', [spec('X', 'FP32', -1, 3)], new Uint8Array(0), /dimension 0 of X must be at least 1/],
    ['two free sizes that are no rows', [spec('X', 'FP32', 2, -1, -1)], new Uint8Array(8), /several free sizes/],
    ['text for more than one', [spec('S', 'BYTES', 2)], Buffer.from('x'), /is one text, but S has more/],
    ['no UTF-8', [spec('S', 'BYTES', 1)], Uint8Array.of(255), /is no UTF-8 text/],
  ])('%s is refused', (_title, inputs, body, message) => {
    expect(fault(raw(body), targetOf(inputs))).toMatch(message);
  });
});

describe('classification', () => {
  const probabilities: TensorSpec = { ...spec('P', 'FP32', -1, 3), labels: ['cat', 'dog', 'eel'] };
  const target = targetOf([spec('X', 'FP32', -1, 1)], [probabilities, spec('N', 'INT64', -1), spec('F', 'FP64', 4)]);
  const X = { name: 'X', datatype: 'FP32', shape: [2, 1], data: [1, 2] };
  const outputs: Tensor[] = [
    { name: 'P', datatype: 'FP32', shape: [2, 3], data: Float32Array.of(0.1, 0.7, 0.2, 0.25, Number.NaN, 0.25) },
    { name: 'N', datatype: 'INT64', shape: [2], data: BigInt64Array.of(5n, 2n ** 60n) },
    { name: 'F', datatype: 'FP64', shape: [4], data: Float64Array.of(1, 1e-9, 3, 3) },
  ];
  const ask = (...asked: unknown[]) => {
    const call = { headers: {}, body: Buffer.from(JSON.stringify({ inputs: [X], outputs: asked })) };
    return infer.write(infer.parse(call, target), outputs, answered(target.signature));
  };
  const one = (name: string, classification: number, more = {}) => ({ name, parameters: { classification, ...more } });

  it('names the best of every row, ties by index, NaN last, with labels', () => {
    expect(JSON.parse(ask(one('P', 2)) as string).outputs).toEqual([
      { name: 'P', datatype: 'BYTES', shape: [2, 2], data: ['0.7:1:dog', '0.2:2:eel', '0.25:0:cat', '0.25:2:eel'] },
    ]);
  });

  it('no more than there are; without labels where there are none; also where there are no rows', () => {
    expect(JSON.parse(ask(one('N', 9), one('F', 3)) as string).outputs).toEqual([
      { name: 'N', datatype: 'BYTES', shape: [2, 1], data: ['5:0', '1152921504606846976:0'] },
      { name: 'F', datatype: 'BYTES', shape: [3], data: ['3:2', '3:3', '1:0'] },
    ]);
  });

  it('may be binary, and 0 asks for the tensor itself', () => {
    const { json, rest } = read(ask(one('F', 1, { binary_data: true }), one('N', 0)));
    expect(json.outputs).toEqual([
      { name: 'F', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: 7 } },
      { name: 'N', datatype: 'INT64', shape: [2], data: [5, 2 ** 60] },
    ]);
    expect(rest.toString('latin1')).toBe('\x03\0\0\x003:2');
  });

  it('text cannot be ranked', () => {
    const texts = targetOf([spec('X', 'FP32', -1, 1)], [spec('S', 'BYTES', -1)]);
    const body = Buffer.from(JSON.stringify({ inputs: [X], outputs: [one('S', 1)] }));
    expect(fault({ headers: {}, body }, texts)).toMatch(/\/outputs\/0\/parameters\/classification S is BYTES/);
  });
});
