import { describe, expect, test } from 'vitest';
import { SlipwayError } from '../../base/errors.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import { readFormBody, readImageBody, readRawBody } from './file-body.ts';
import { parseMediaType } from './media-type.ts';

const IMAGE = {
  kind: 'image',
  width: 2,
  height: 2,
  channels: 3,
  layout: 'NCHW',
  color: 'rgb',
  resize: 'stretch',
  filter: 'linear',
  scale: 1,
  mean: [0, 0, 0],
  std: [1, 1, 1],
} as const;
const image = (name = 'image', more: Partial<TensorSpec> = {}): TensorSpec => ({
  name,
  datatype: 'FP32',
  shape: [-1, 3, 2, 2],
  decoder: IMAGE,
  ...more,
});
const raw = (datatype: TensorSpec['datatype'], ...shape: number[]): TensorSpec => ({
  name: 'X',
  datatype,
  shape,
  decoder: { kind: 'raw' },
});
const plain: TensorSpec = { name: 'age', datatype: 'FP32', shape: [-1] };
const target = (...inputs: TensorSpec[]): InputTarget => {
  const signature: Signature = { inputs, outputs: [] };
  return { name: 'm@1', signature, canBatch: true };
};
const refused = (work: () => unknown): SlipwayError => {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(SlipwayError);
    return error as SlipwayError;
  }
  throw new Error('it was accepted');
};

describe('one picture', () => {
  const body = Buffer.from('picture');
  test('is for the only input that takes one', () => {
    expect(readImageBody(body, target(image(), { ...plain, optional: true }))).toEqual({
      inputs: [],
      rows: 1,
      encoded: [{ name: 'image', files: [body], pointers: [''] }],
    });
  });

  test.each([
    ['no decoder', [plain], /takes no pictures/],
    ['only raw bytes', [raw('FP32', -1, 2)], /takes no pictures/],
    ['two pictures', [image(), image('mask')], /more than one file: image, mask/],
    ['another input', [image(), plain], /more than one file: image, age/],
  ])('is refused by a model with %s', (_name, inputs, message) => {
    const error = refused(() => readImageBody(body, target(...inputs)));
    expect([error.code, error.message]).toEqual(['unsupported_media', expect.stringMatching(message)]);
  });
});

describe('raw bytes', () => {
  test('are the elements, little-endian, wherever the body lies in memory', () => {
    const bytes = Buffer.from(new Uint8Array(Float32Array.of(1, 2.5, -3, 4).buffer));
    const shifted = Buffer.concat([Buffer.of(0), bytes]).subarray(1);
    expect(readRawBody(shifted, target(raw('FP32', -1, 2)))).toEqual({
      rows: 2,
      inputs: [{ name: 'X', datatype: 'FP32', shape: [2, 2], data: Float32Array.of(1, 2.5, -3, 4) }],
    });
    expect(readRawBody(bytes, target(raw('FP32', 4))).rows).toBe(4);
    expect(readRawBody(bytes.subarray(0, 8), target(raw('INT64', -1))).inputs[0]!.data).toHaveLength(1);
  });

  test.each([
    [0, raw('FP32', -1, 2), 'has 0 bytes; X (FP32 [-1,2]) takes a multiple of 8'],
    [12, raw('FP32', -1, 2), 'has 12 bytes; X (FP32 [-1,2]) takes a multiple of 8'],
    [16, raw('FP32', 2), 'has 16 bytes; X (FP32 [2]) takes 8'],
  ])('%s bytes are refused where they do not fit', (bytes, spec, message) => {
    expect(refused(() => readRawBody(Buffer.alloc(bytes), target(spec))).fields[0]!.message).toBe(message);
  });

  test('BOOL is 0 or 1', () => {
    expect(refused(() => readRawBody(Buffer.of(0, 1, 2), target(raw('BOOL', -1)))).message).toContain('at byte 2');
  });
});

describe('a form', () => {
  const form = (...parts: readonly (readonly [name: string, content: string])[]): Buffer =>
    Buffer.from(
      `${parts
        .map(
          ([name, content]) =>
            `--B\r\nContent-Disposition: form-data; name="${name}"; filename="a.jpg"\r\n\r\n${content}\r\n`,
        )
        .join('')}--B--\r\n`,
    );
  const read = (body: Buffer, of: InputTarget, type = 'multipart/form-data; boundary=B') =>
    readFormBody(body, of, parseMediaType(type));

  test('has several pictures as rows, and several inputs', () => {
    const body = form(['image', 'one'], ['mask', ''], ['image', 'two\r\n--A\r\n'], ['mask', 'm']);
    const { rows, encoded } = read(body, target(image(), image('mask')), 'multipart/form-data; boundary="B"');
    expect(rows).toBe(2);
    expect(encoded!.map((one) => [one.name, one.files.map(String), one.pointers])).toEqual([
      ['image', ['one', 'two\r\n--A\r\n'], ['/image/0', '/image/1']],
      ['mask', ['', 'm'], ['/mask/0', '/mask/1']],
    ]);
  });

  test('names what it does not know or lacks', () => {
    const error = refused(() => read(form(['imag', 'x']), target(image(), plain)));
    expect(error.fields.map((field) => `${field.pointer} ${field.message}`)).toEqual([
      '/imag is not an input that takes pictures; did you mean image?',
      '/image is missing (FP32 [-1,3,2,2])',
      '/age is missing (FP32 [-1])',
    ]);
  });

  test.each([
    ['', 'multipart/form-data', /no usable boundary/],
    ['', 'multipart/form-data; boundary=B', /does not begin/],
    ['x--B\r\n', 'multipart/form-data; boundary=B', /does not begin/],
    ['--B', 'multipart/form-data; boundary=B', /is not whole/],
    ['--B\r\n', 'multipart/form-data; boundary=B', /no header/],
    [`--B\r\n${'x'.repeat(5000)}\r\n\r\n`, 'multipart/form-data; boundary=B', /no header/],
    [
      '--B\r\nContent-Disposition: form-data; name="image"\r\n\r\nopen',
      'multipart/form-data; boundary=B',
      /does not end/,
    ],
    ['--B\r\nContent-Type: image/png\r\n\r\nx\r\n--B--', 'multipart/form-data; boundary=B', /has no name/],
    ['--B--', 'multipart/form-data; boundary=B', /image is missing/],
    [
      `${'--B\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n'.repeat(1001)}--B--`,
      'multipart/form-data; boundary=B',
      /more than 1000/,
    ],
  ])('%j as %s is refused', (body, type, message) => {
    expect(refused(() => read(Buffer.from(body), target(image()), type)).message).toMatch(message);
  });
});
