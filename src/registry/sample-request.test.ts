import { describe, expect, it } from 'vitest';
import { sampleRequestFor } from './sample-request.ts';
import type { TensorSpec } from './signature.ts';

const sample = (...inputs: TensorSpec[]) => sampleRequestFor({ inputs, outputs: [] });

describe('a request that a model should answer', () => {
  it('is a record where inputs have rows', () => {
    const age: TensorSpec = { name: 'age', datatype: 'FP32', shape: [-1, 1] };
    const plan: TensorSpec = { name: 'plan', datatype: 'BYTES', shape: [-1] };
    const flags: TensorSpec = { name: 'flags', datatype: 'BOOL', shape: [-1, 2] };
    expect(sample(age, plan, flags)).toEqual({ records: [{ age: 0, plan: 'a', flags: [false, false] }] });
  });

  it('names the columns', () => {
    const spec: TensorSpec = { name: 'X', datatype: 'FP32', shape: [-1, 2], features: ['age', 'income'] };
    expect(sample(spec)).toEqual({ records: [{ age: 0, income: 0 }] });
  });

  it('leaves optional inputs out', () => {
    const spec: TensorSpec = { name: 'X', datatype: 'INT64', shape: [-1, 1] };
    expect(sample(spec, { ...spec, name: 'B', optional: true })).toEqual({ records: [{ X: 0 }] });
    // An optional input that does not count rows makes a record the whole request, as the plain form reads it.
    const whole: TensorSpec = { name: 'B', datatype: 'FP32', shape: [1], optional: true };
    expect(sample(spec, whole)).toEqual({ inputs: { X: [[0]] } });
  });

  it('gives whole inputs where there are no rows', () => {
    const scalar: TensorSpec = { name: 's', datatype: 'FP64', shape: [] };
    const image: TensorSpec = { name: 'image', datatype: 'FP32', shape: [2, -1] };
    expect(sample(scalar, image)).toEqual({ inputs: { s: 0, image: [[0], [0]] } });
  });

  it('takes the first row of the golden set', () => {
    const signature = { inputs: [{ name: 'X', datatype: 'FP32' as const, shape: [-1, 1] }], outputs: [] };
    const golden = [{ inputs: { records: [{ X: 5 }, { X: 6 }] }, outputs: { Y: [5, 6] } }];
    expect(sampleRequestFor(signature, golden)).toEqual({ records: [{ X: 5 }] });
  });

  it('does without golden integers that JSON would round', () => {
    const signature = { inputs: [{ name: 'X', datatype: 'INT64' as const, shape: [-1, 1] }], outputs: [] };
    const golden = [{ inputs: { records: [{ X: 2n ** 60n }] }, outputs: { Y: [2n ** 60n] } }];
    expect(sampleRequestFor(signature, golden)).toEqual({ records: [{ X: 0 }] });
  });
});
