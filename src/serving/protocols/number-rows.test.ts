import { describe, expect, test } from 'vitest';
import type { TensorSpec } from '../../registry/signature.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import { quotedKeys, readBareRows, readRowsUnder } from './number-rows.ts';

const targetOf = (...inputs: TensorSpec[]): InputTarget => ({
  name: 'm@1',
  signature: { inputs, outputs: [] },
  canBatch: true,
});
const X: TensorSpec = { name: 'X', datatype: 'FP32', shape: [-1, 3] };
const KEYS = quotedKeys('instances', 'inputs');
const ROWS = Array.from({ length: 100 }, (_, at) => [at, at + 0.5, -1 - at]);
const under = (body: unknown, target = targetOf(X)) =>
  readRowsUnder(KEYS, Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), target);

describe('rows of numbers', () => {
  test('under the only key, or bare, are the one input of a model', () => {
    const wanted = {
      inputs: [{ name: 'X', datatype: 'FP32', shape: [100, 3], data: Float32Array.from(ROWS.flat()) }],
      rows: 100,
    };
    expect(under({ instances: ROWS })).toEqual(wanted);
    expect(under(`  { "inputs" : ${JSON.stringify(ROWS)} } `)).toEqual(wanted);
    expect(readBareRows(Buffer.from(JSON.stringify(ROWS)), targetOf(X))).toEqual(wanted);
  });

  test('become what the datatype holds', () => {
    const whole = ROWS.map(([a]) => [a, a, 123456789]);
    const { inputs } = under({ instances: whole }, targetOf({ ...X, datatype: 'INT64' }))!;
    expect(inputs[0]!.data).toEqual(BigInt64Array.from(whole.flat().map((value) => BigInt(value!))));
  });

  test.each<[string, unknown, InputTarget?]>([
    ['few of them', { instances: ROWS.slice(0, 3) }],
    ['another key beside them', { instances: ROWS, params: {} }],
    ['two keys', { instances: ROWS, inputs: ROWS }],
    ['another key', { rows: ROWS }],
    ['the key within another', { more: { instances: ROWS } }],
    ['a list around them', [{ instances: ROWS }]],
    ['a row too short', { instances: [...ROWS, [1, 2]] }],
    ['another width', { instances: ROWS.map((row) => row.slice(1)) }],
    ['a text', { instances: [...ROWS, [1, 2, 'x']] }],
    ['a null', { instances: [...ROWS, [1, 2, null]] }],
    ['deeper lists', { instances: [ROWS] }],
    ['a number that does not fit', { instances: [...ROWS, [1, 2, 1e39]] }],
    ['a fraction for whole numbers', { instances: ROWS }, targetOf({ ...X, datatype: 'INT32' })],
    ['no JSON', `{"instances":${JSON.stringify(ROWS)}`],
    ['a key twice', `{"instances":${JSON.stringify(ROWS)},"instances":1}`],
    ['a model of two inputs', { instances: ROWS }, targetOf(X, { ...X, name: 'Z' })],
    ['a model of another rank', { instances: ROWS }, targetOf({ ...X, shape: [-1, 3, 1] })],
    ['a model that takes one row', { instances: ROWS }, targetOf({ ...X, shape: [1, 3] })],
  ])('with %s are left to the careful way', (_title, body, target) => {
    expect(under(body, target)).toBeNull();
  });
});
