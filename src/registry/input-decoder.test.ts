import { describe, expect, it } from 'vitest';
import { type GivenDecoder, resolveDecoder } from './input-decoder.ts';
import type { TensorSpec } from './signature.ts';

const input = (datatype: TensorSpec['datatype'], ...shape: number[]): TensorSpec => ({
  name: 'image',
  datatype,
  shape,
});
const WHOLE = {
  kind: 'image',
  width: 32,
  height: 16,
  channels: 3,
  layout: 'NCHW',
  color: 'rgb',
  resize: 'stretch',
  filter: 'linear',
  scale: 1,
  mean: [0, 0, 0],
  std: [1, 1, 1],
};

describe('a decoder for images', () => {
  it.each<[string, Omit<GivenDecoder, 'kind'>, TensorSpec, object]>([
    ['takes all from the shape', {}, input('FP32', -1, 3, 16, 32), {}],
    ['takes NHWC from the shape', {}, input('FP32', -1, 16, 32, 3), { layout: 'NHWC' }],
    ['takes sizes where the shape is free', { width: 32, height: 16 }, input('FP32', -1, 3, -1, -1), {}],
    [
      'knows gray by its one channel',
      {},
      input('UINT8', 1, 1, 16, 32),
      { channels: 1, color: 'gray', mean: [0], std: [1] },
    ],
    [
      'knows channels by the colour',
      { color: 'bgr', layout: 'NHWC', width: 32, height: 16 },
      input('FP16', -1, -1, -1, -1),
      { layout: 'NHWC', color: 'bgr' },
    ],
    [
      'spreads one number over the channels, and divides fractions',
      { scale: '1/255', mean: 0.5, std: [1, 2, 3] },
      input('FP32', -1, 3, 16, 32),
      { scale: 1 / 255, mean: [0.5, 0.5, 0.5], std: [1, 2, 3] },
    ],
  ])('%s', (_name, given, spec, changes) => {
    expect(resolveDecoder({ kind: 'image', ...given }, spec)).toEqual({ ...WHOLE, ...changes });
  });

  it.each<[string, GivenDecoder, TensorSpec, string, RegExp]>([
    ['strings', { kind: 'image' }, input('BYTES', -1, 3, 16, 32), 'kind', /not BYTES/],
    ['two dimensions', { kind: 'image' }, input('FP32', -1, 3), 'kind', /4 dimensions/],
    ['a fixed number of rows', { kind: 'image' }, input('FP32', 8, 3, 16, 32), 'kind', /free first one/],
    ['no clue of the layout', { kind: 'image' }, input('FP32', -1, -1, -1, -1), 'layout', /NCHW or NHWC/],
    ['an ambiguous layout', { kind: 'image' }, input('FP32', -1, 3, 16, 3), 'layout', /NCHW or NHWC/],
    ['no width', { kind: 'image' }, input('FP32', -1, 3, 16, -1), 'width', /is needed/],
    ['another width', { kind: 'image', width: 8 }, input('FP32', -1, 3, 16, 32), 'width', /the graph says 32/],
    ['a huge width', { kind: 'image', width: 5000 }, input('FP32', -1, 3, 16, -1), 'width', /1 to 4096/],
    ['four channels', { kind: 'image', layout: 'NCHW' }, input('FP32', -1, 4, 16, 32), 'channels', /1 or 3/],
    [
      'gray of three',
      { kind: 'image', color: 'gray', channels: 3 },
      input('FP32', -1, 3, 16, 32),
      'color',
      /does not go/,
    ],
    ['two means', { kind: 'image', mean: [1, 2] }, input('FP32', -1, 3, 16, 32), 'mean', /2 numbers for 3/],
    ['std 0', { kind: 'image', std: 0 }, input('FP32', -1, 3, 16, 32), 'std', /not be 0/],
    ['scale 0', { kind: 'image', scale: '1/0' }, input('FP32', -1, 3, 16, 32), 'scale', /other than 0/],
    ['scaled bytes', { kind: 'image', scale: 2 }, input('UINT8', -1, 3, 16, 32), 'scale', /as they are/],
    ['raw with a width', { kind: 'raw', width: 3 }, input('FP32', -1, 3), 'width', /belongs to images/],
    ['raw strings', { kind: 'raw' }, input('BYTES', -1, 3), 'kind', /strings/],
    ['raw of free size', { kind: 'raw' }, input('FP32', -1, -1), 'kind', /free dimension/],
  ])('refuses %s', (_name, given, spec, key, message) => {
    expect(resolveDecoder(given, spec)).toContainEqual({ key, message: expect.stringMatching(message) });
  });

  it('raw bytes need no more', () => {
    expect(resolveDecoder({ kind: 'raw' }, input('INT64', -1, 3))).toEqual({ kind: 'raw' });
  });
});
