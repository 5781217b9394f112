import { describe, expect, test } from 'vitest';
import { paddingFaults, resolvePadding } from './input-padding.ts';
import type { TensorSpec } from './signature.ts';

const tokens: TensorSpec = { name: 'tokens', datatype: 'INT64', shape: [-1, -1], symbols: ['N', 'T'] };

describe('the padding of an input', () => {
  test.each([
    [{ axis: 1 }, tokens, { axis: 1, value: 0 }],
    [{ axis: 1, value: -100 }, tokens, { axis: 1, value: -100 }],
    [{ axis: 1 }, { ...tokens, datatype: 'BYTES' as const }, { axis: 1, value: '' }],
    [
      { axis: 1, value: 0.5 },
      { ...tokens, datatype: 'FP16' as const },
      { axis: 1, value: 0.5 },
    ],
  ])('%j', (given, input, padding) => {
    expect(resolvePadding(given, input)).toEqual(padding);
  });

  test.each([
    ['the rows', { axis: 0 }, {}, 'axis', /rows, which are never padded/],
    ['a dimension that is not there', { axis: 2 }, {}, 'axis', /has 2 dimensions/],
    ['a fixed dimension', { axis: 1 }, { shape: [-1, 8] }, 'axis', /is always 8/],
    ['a dimension without a name', { axis: 1 }, { symbols: ['N', null] }, 'axis', /has no name for this dimension/],
    ['an input without names', { axis: 1 }, { symbols: undefined }, 'axis', /has no name for this dimension/],
    ['an input with a fixed number of rows', { axis: 1 }, { shape: [1, -1] }, 'axis', /first dimension is not free/],
    ['half a token', { axis: 1, value: 0.5 }, {}, 'value', /integer/],
    ['a word among numbers', { axis: 1, value: 'x' }, {}, 'value', /must be a number/],
    ['a number among words', { axis: 1, value: 0 }, { datatype: 'BYTES' }, 'value', /must be text/],
    ['more than the type holds', { axis: 1, value: 256 }, { datatype: 'UINT8' }, 'value', /from 0 to 255/],
    ['more than a half holds', { axis: 1, value: 1e5 }, { datatype: 'FP16' }, 'value', /that FP16 holds/],
    ['no number', { axis: 1, value: Number.NaN }, { datatype: 'FP32' }, 'value', /that FP32 holds/],
  ])('is refused for %s', (_what, given, changes, key, message) => {
    const faults = resolvePadding(given, { ...tokens, ...changes } as TensorSpec);
    expect(faults).toEqual([{ key, message: expect.stringMatching(message) }]);
  });
});

describe('the inputs together', () => {
  const padded: TensorSpec = { ...tokens, pad: { axis: 1, value: 0 } };
  test.each([
    ['one alone', [padded], null],
    ['all that have the dimension', [padded, { ...padded, name: 'mask' }], null],
    ['one of another dimension', [padded, { ...tokens, name: 'other', symbols: ['N', 'U'] }], null],
    ['one of two', [padded, { ...tokens, name: 'mask' }], /dimension 1 of mask is T too; give mask a pad as well/],
    ['a square', [{ ...padded, shape: [-1, -1, -1], symbols: ['N', 'T', 'T'] }], /dimension 2 of tokens is T too/],
    ['the rows of another', [padded, { ...tokens, name: 'by', symbols: ['T', null] }], /dimension 0 of by is T too/],
  ])('%s', (_what, inputs, message) => {
    expect(paddingFaults(inputs as TensorSpec[])).toEqual(
      message === null ? [] : [{ input: 'tokens', message: expect.stringMatching(message) }],
    );
  });
});
