import { describe, expect, it } from 'vitest';
import { diffSignatures, type Signature, type TensorSpec } from './signature.ts';

const input: TensorSpec = { name: 'X', datatype: 'FP32', shape: [-1, 3], features: ['a', 'b', 'c'] };
const output: TensorSpec = { name: 'Y', datatype: 'FP32', shape: [-1, 2], labels: ['no', 'yes'] };
const base: Signature = { inputs: [input], outputs: [output] };
const withInput = (change: Partial<TensorSpec>): Signature => ({ ...base, inputs: [{ ...input, ...change }] });
const withOutput = (change: Partial<TensorSpec>): Signature => ({ ...base, outputs: [{ ...output, ...change }] });
const PAD = { axis: 1, value: 0 };
const RAW = { kind: 'raw' } as const;
const IMAGE = {
  kind: 'image',
  width: 8,
  height: 8,
  channels: 1,
  layout: 'NCHW',
  color: 'gray',
  resize: 'stretch',
  filter: 'linear',
  scale: 1,
  mean: [0],
  std: [1],
} as const;
const plain = ({ features: _f, labels: _l, ...rest }: TensorSpec): TensorSpec => rest;
const more = (spec: TensorSpec): TensorSpec => ({ ...plain(spec), name: 'Z' });

describe('what breaks callers', () => {
  it.each<[string, Signature, Signature, string, boolean]>([
    ['a new required input', base, { ...base, inputs: [input, more(input)] }, 'inputs/Z', true],
    ['a new optional input', base, { ...base, inputs: [input, { ...more(input), optional: true }] }, 'inputs/Z', false],
    ['an input that is gone', { ...base, inputs: [input, more(input)] }, base, 'inputs/Z', true],
    ['an input of another datatype', base, withInput({ datatype: 'FP64' }), 'inputs/X/datatype', true],
    ['an input that takes fewer rows', base, withInput({ shape: [1, 3] }), 'inputs/X/shape', true],
    ['an input that takes more rows', withInput({ shape: [1, 3] }), base, 'inputs/X/shape', false],
    ['an input with other columns', withInput({ shape: [-1, 4] }), base, 'inputs/X/shape', true],
    ['an input with more dimensions', base, withInput({ shape: [-1, 3, 1] }), 'inputs/X/shape', true],
    ['an input that became optional', base, withInput({ optional: true }), 'inputs/X/optional', false],
    ['an input that became required', withInput({ optional: true }), base, 'inputs/X/optional', true],
    ['features in another order', base, withInput({ features: ['b', 'a', 'c'] }), 'inputs/X/features', true],
    ['a renamed feature', base, withInput({ features: ['a', 'b', 'd'] }), 'inputs/X/features', true],
    ['features that lost their names', base, { ...base, inputs: [plain(input)] }, 'inputs/X/features', true],
    ['features that got names', { ...base, inputs: [plain(input)] }, base, 'inputs/X/features', false],
    ['a decoder where there was none', base, withInput({ decoder: RAW }), 'inputs/X/decoder', false],
    ['a decoder that is gone', withInput({ decoder: RAW }), base, 'inputs/X/decoder', true],
    [
      'a decoder that prepares otherwise',
      withInput({ decoder: IMAGE }),
      withInput({ decoder: { ...IMAGE, std: [2] } }),
      'inputs/X/decoder',
      false,
    ],
    ['a decoder of another kind', withInput({ decoder: IMAGE }), withInput({ decoder: RAW }), 'inputs/X/decoder', true],
    ['padding where there was none', base, withInput({ pad: PAD }), 'inputs/X/pad', false],
    ['padding that is gone', withInput({ pad: PAD }), base, 'inputs/X/pad', false],
    [
      'padding with another value',
      withInput({ pad: PAD }),
      withInput({ pad: { ...PAD, value: 1 } }),
      'inputs/X/pad',
      false,
    ],
    ['a new output', base, { ...base, outputs: [output, more(output)] }, 'outputs/Z', false],
    ['an output that is gone', { ...base, outputs: [output, more(output)] }, base, 'outputs/Z', true],
    ['an output of another datatype', base, withOutput({ datatype: 'FP64' }), 'outputs/Y/datatype', true],
    ['an output of another size', base, withOutput({ shape: [-1, 3] }), 'outputs/Y/shape', true],
    ['an output whose size is free now', base, withOutput({ shape: [-1, -1] }), 'outputs/Y/shape', true],
    ['an output whose size is fixed now', withOutput({ shape: [-1, -1] }), base, 'outputs/Y/shape', false],
    ['labels in another order', base, withOutput({ labels: ['yes', 'no'] }), 'outputs/Y/labels', true],
    ['labels where there were none', { ...base, outputs: [plain(output)] }, base, 'outputs/Y/labels', true],
    ['labels that are gone', base, { ...base, outputs: [plain(output)] }, 'outputs/Y/labels', true],
  ])('%s', (_what, from, to, path, breaking) => {
    const diff = diffSignatures(from, to);
    expect(diff.changes.map((change) => [change.path, change.breaking])).toEqual([[path, breaking]]);
    expect(diff.breaking).toBe(breaking);
    expect(diff.changes[0]!.reason).not.toBe('');
    expect(JSON.parse(JSON.stringify(diff))).toEqual(diff);
  });

  it('a signature does not differ from itself, nor from one in another order or with other symbols', () => {
    expect(diffSignatures(base, base)).toEqual({ breaking: false, changes: [] });
    const two = { ...base, inputs: [input, more(input)] };
    expect(diffSignatures(two, { ...two, inputs: [more(input), input] }).changes).toEqual([]);
    expect(diffSignatures(base, withInput({ symbols: ['batch', null] })).changes).toEqual([]);
  });

  it('a renamed input is told as such', () => {
    const renamed = { ...base, inputs: [{ ...input, name: 'features' }] };
    const gone = diffSignatures(base, renamed).changes.find((change) => change.change === 'removed');
    expect(gone!.reason).toContain('features has the same type, so it may be its new name');
  });
});
