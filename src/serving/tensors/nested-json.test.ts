import { describe, expect, it } from 'vitest';
import type { Signature } from '../../registry/signature.ts';
import { columnsToJson, nestedToJson, predictionsToJson, rowTexts } from './nested-json.ts';
import type { Tensor } from './tensor.ts';

const floats = (shape: readonly number[], ...data: number[]): Tensor => ({
  name: 'f',
  datatype: 'FP32',
  shape,
  data: Float32Array.from(data),
});
const words: Tensor = { name: 's', datatype: 'BYTES', shape: [2, 1], data: ['a,"b"', 'NaN'] };

describe('nested JSON', () => {
  it('has a bracket for every dimension, also of size 1', () => {
    expect(nestedToJson(floats([2, 1, 2], 1, 2, 3, 4.5))).toBe('[[[1,2]],[[3,4.5]]]');
    expect(nestedToJson(floats([3], 1, 2, 3))).toBe('[1,2,3]');
    expect(nestedToJson(floats([], 7))).toBe('7');
    expect(nestedToJson(words)).toBe('[["a,\\"b\\""],["NaN"]]');
    expect(rowTexts(floats([2, 2], 1, 2, 3, 4))).toEqual(['[1,2]', '[3,4]']);
  });

  it('prints what is not finite as strings, or bare for Python; text that looks like it stays text', () => {
    const odd = floats([3], Number.NaN, Number.NEGATIVE_INFINITY, 1);
    expect(nestedToJson(odd)).toBe('["NaN","-Infinity",1]');
    expect(nestedToJson(odd, 'bare')).toBe('[NaN,-Infinity,1]');
    expect(nestedToJson(words, 'bare')).toBe('[["a,\\"b\\""],["NaN"]]');
  });

  it('gives values of the only output, objects of several, one prediction where rows do not answer rows', () => {
    const signature: Signature = {
      inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [
        { name: 'f', datatype: 'FP32', shape: [-1, 2] },
        { name: 's', datatype: 'BYTES', shape: [-1, 1] },
      ],
    };
    const two = floats([2, 2], 1, 2, 3, 4);
    expect(predictionsToJson(signature, [two], 2)).toBe('[[1,2],[3,4]]');
    expect(JSON.parse(predictionsToJson(signature, [two, words], 2))).toEqual([
      { f: [1, 2], s: ['a,"b"'] },
      { f: [3, 4], s: ['NaN'] },
    ]);
    const whole = { ...signature, outputs: [{ name: 'f', datatype: 'FP32', shape: [2] }] } as Signature;
    expect(predictionsToJson(whole, [floats([2], 1, 2)], 1)).toBe('[[1,2]]');
    expect(columnsToJson([two, words])).toBe('{"f":[[1,2],[3,4]],"s":[["a,\\"b\\""],["NaN"]]}');
  });
});
