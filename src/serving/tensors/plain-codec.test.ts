import { describe, expect, it } from 'vitest';
import type { SlipwayError } from '../../base/errors.ts';
import { sampleRequestFor } from '../../registry/sample-request.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import { readPlainBody, recordsToTensors } from './plain-codec.ts';
import type { Tensor } from './tensor.ts';

const spec = (
  name: string,
  datatype: TensorSpec['datatype'],
  shape: number[],
  more: Partial<TensorSpec> = {},
): TensorSpec => ({
  name,
  datatype,
  shape,
  ...more,
});
const signature = (inputs: TensorSpec[], outputs: TensorSpec[] = []): Signature => ({ inputs, outputs });

const named = signature([spec('X', 'FP32', [-1, 3], { features: ['age', 'income', 'visits'] })]);
const columns = signature([spec('age', 'FP32', [-1, 1]), spec('plan', 'BYTES', [-1])]);
const unnamed = signature([spec('X', 'FP32', [-1, 3])]);
const images = signature([spec('image', 'UINT8', [-1, 2, 2]), spec('hint', 'INT64', [-1], { optional: true })]);
const fixed = signature([spec('X', 'FP32', [1, 3])]);
const whole = signature([spec('v', 'FP32', [3]), spec('k', 'INT64', [])]);

function faultsOf(of: Signature, body: unknown, canBatch = true): [string, string][] {
  try {
    readPlainBody({ name: 'm@1', signature: of, canBatch }, body);
  } catch (error) {
    expect((error as SlipwayError).code).toBe('invalid_input');
    return (error as SlipwayError).fields.map(({ pointer, message }) => [pointer, message]);
  }
  throw new Error('no fault was found');
}

describe('records', () => {
  it.each<[string, Signature, unknown[], Partial<Tensor>[], number]>([
    [
      'feature names of one input',
      named,
      [
        { age: 1, income: 2, visits: 3 },
        { visits: 6, age: 4, income: 5 },
      ],
      [{ name: 'X', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
      2,
    ],
    [
      'the input by its own name though it has feature names',
      named,
      [{ X: [1, 2, 3] }],
      [{ shape: [1, 3], data: Float32Array.of(1, 2, 3) }],
      1,
    ],
    [
      'a column per input',
      columns,
      [
        { age: 41, plan: 'pro' },
        { age: 5, plan: '' },
      ],
      [
        { name: 'age', shape: [2, 1] },
        { name: 'plan', shape: [2], data: ['pro', ''] },
      ],
      2,
    ],
    [
      'a column of width one given as a list',
      columns,
      [{ age: [41], plan: 'pro' }],
      [{ data: Float32Array.of(41) }, {}],
      1,
    ],
    ['an input without feature names', unnamed, [{ X: [1, 2, 3] }, { X: [4, 5, 6] }], [{ shape: [2, 3] }], 2],
    [
      'bare rows where there is one input',
      unnamed,
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      [{ shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
      2,
    ],
    [
      'images, an optional input left out',
      images,
      [
        {
          image: [
            [1, 2],
            [3, 4],
          ],
        },
      ],
      [{ name: 'image', shape: [1, 2, 2], data: Uint8Array.of(1, 2, 3, 4) }],
      1,
    ],
    [
      'an optional input given',
      images,
      [
        {
          image: [
            [1, 2],
            [3, 4],
          ],
          hint: 9007199254740993n,
        },
      ],
      [{}, { data: BigInt64Array.of(9007199254740993n) }],
      1,
    ],
    ['a batch fixed to one', fixed, [{ X: [1, 2, 3] }], [{ shape: [1, 3] }], 1],
    [
      'a model without rows',
      whole,
      [{ v: [1, 2, 3], k: 7 }],
      [{ shape: [3] }, { shape: [], data: BigInt64Array.of(7n) }],
      1,
    ],
  ])('%s', (_title, of, records, expected, rows) => {
    const read = recordsToTensors(of, { records });
    expect(read.inputs).toHaveLength(expected.length);
    for (const [i, tensor] of expected.entries()) expect(read.inputs[i]).toMatchObject(tensor);
    expect(read.rows).toBe(rows);
  });

  it('columns without names are told once each, with the record that fits and where names are given', () => {
    const wide = signature([spec('X', 'FP32', [-1, 4])]);
    const record = { sl: 1, sw: 2, pl: 3, pw: 4 };
    expect(faultsOf(wide, { records: [record] }).map(([pointer]) => pointer)).toEqual(
      ['X', 'sl', 'sw', 'pl', 'pw'].map((name) => `/records/0/${name}`),
    );
    const shown = { X: [0, 0, 0, 0] };
    expect(() => recordsToTensors(wide, { records: [record] })).toThrow(
      expect.objectContaining({
        hint: expect.stringMatching(/looks like \{"X":\[0,0,0,0\]\}.*signature\.inputs\.X\.features of slipway\.yaml/),
      }),
    );
    expect(sampleRequestFor(wide)).toEqual({ records: [shown] });
    expect(recordsToTensors(wide, { records: [shown] }).rows).toBe(1);
    expect(() => recordsToTensors(named, { records: [{ age: 1 }] })).toThrow(
      expect.objectContaining({ hint: undefined }),
    );
  });

  it('features called like things every object has are not found by accident', () => {
    const odd = signature([spec('X', 'FP32', [-1, 1], { features: ['constructor'] }), spec('toString', 'FP32', [-1])]);
    expect(faultsOf(odd, { records: [{}] })).toEqual([
      ['/records/0/constructor', 'is missing (FP32)'],
      ['/records/0/toString', expect.stringContaining('is missing')],
    ]);
  });

  it.each<[string, Signature, unknown, [string, RegExp][]]>([
    [
      'every fault at once',
      named,
      {
        records: [
          { age: 'x', income: 2 },
          { age: 1, incme: 2, visits: null },
        ],
      },
      [
        ['/records/0/visits', /is missing/],
        ['/records/1/income', /is missing/],
        ['/records/1/incme', /did you mean income/],
      ],
    ],
    [
      'wrong values by record and feature',
      named,
      {
        records: [
          { age: 'x', income: 2, visits: 1 },
          { age: 1, income: 2, visits: null },
        ],
      },
      [
        ['/records/0/age', /must be a number/],
        ['/records/1/visits', /"NaN"/],
      ],
    ],
    [
      'faults of several inputs',
      columns,
      { records: [{ age: 'x', plan: 5 }] },
      [
        ['/records/0/age', /must be a number/],
        ['/records/0/plan', /must be a string/],
      ],
    ],
    [
      'a row of the wrong length',
      unnamed,
      { records: [{ X: [1, 2, 3] }, { X: [1, 2] }] },
      [['/records/1/X', /must be 3/]],
    ],
    [
      'a value deep inside',
      images,
      {
        records: [
          {
            image: [
              [1, 2],
              [3, 256],
            ],
          },
        ],
      },
      [['/records/0/image/1/1', /out of range/]],
    ],
    [
      'rows of different inner shapes',
      signature([spec('t', 'FP32', [-1, -1])]),
      { records: [{ t: [1] }, { t: [1, 2] }] },
      [['/records/1/t', /first record has \[1\]/]],
    ],
    [
      'an optional input in some records only',
      images,
      {
        records: [
          {
            image: [
              [1, 2],
              [3, 4],
            ],
            hint: 1,
          },
          {
            image: [
              [1, 2],
              [3, 4],
            ],
          },
        ],
      },
      [['/records/1/hint', /in all records or in none/]],
    ],
    ['no record', named, { records: [] }, [['/records', /at least one/]]],
    [
      'two records for a batch fixed to one',
      fixed,
      { records: [{ X: [1, 2, 3] }, { X: [1, 2, 3] }] },
      [['/records', /exactly one/]],
    ],
    [
      'a record that is none',
      named,
      { records: [5, { age: 1, income: 1, visits: 1 }] },
      [['/records/0', /must be an object/]],
    ],
    ['records that are no list', named, { records: { age: 1 } }, [['/records', /must be a list/]]],
    [
      'a pointer with characters to escape',
      signature([spec('a/b~c', 'FP32', [-1])]),
      { records: [{ 'a/b~c': 'x' }] },
      [['/records/0/a~1b~0c', /must be a number/]],
    ],
  ])('%s', (_title, of, body, expected) => {
    const faults = faultsOf(of, body);
    expect(faults.map(([pointer]) => pointer)).toEqual(expected.map(([pointer]) => pointer));
    for (const [i, [, message]] of expected.entries()) expect(faults[i]![1]).toMatch(message);
  });

  it('lists at most 50 faults', () => {
    expect(faultsOf(named, { records: new Array(500).fill({}) })).toHaveLength(50);
    expect(
      faultsOf(named, { records: [Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`q${i}`, 1]))] }).length,
    ).toBeLessThanOrEqual(50);
  });
});

describe('inputs', () => {
  it('takes whole tensors, scalars and columns as flat lists', () => {
    expect(recordsToTensors(columns, { inputs: { age: [1, 2], plan: ['a', 'b'] } })).toMatchObject({
      inputs: [{ shape: [2, 1] }, { shape: [2] }],
      rows: 2,
    });
    expect(recordsToTensors(whole, { inputs: { v: [1, 2, 3], k: 7 } }).rows).toBe(1);
    expect(
      recordsToTensors(signature([spec('X', 'FP32', [-1, -1])]), { inputs: { X: [[1], [2]] } }).inputs[0]!.shape,
    ).toEqual([2, 1]);
  });

  it.each<[string, Signature, unknown, string, RegExp]>([
    ['a missing input', columns, { age: [1] }, '/inputs/plan', /is missing \(BYTES \[-1\]\)/],
    ['an unknown input', unnamed, { X: [[1, 2, 3]], Z: 1 }, '/inputs/Z', /not an input/],
    ['rank', unnamed, { X: [1, 2, 3] }, '/inputs/X', /has 1 dimensions, X has 2/],
    ['a fixed size', unnamed, { X: [[1, 2]] }, '/inputs/X', /dimension 1 of X must be 3/],
    [
      'ragged rows',
      unnamed,
      {
        X: [
          [1, 2, 3],
          [1, 2],
        ],
      },
      '/inputs/X/1',
      /has 2 elements/,
    ],
    ['an empty list', unnamed, { X: [] }, '/inputs/X', /dimensions/],
    ['different numbers of rows', columns, { age: [1, 2], plan: ['a'] }, '/inputs/plan', /that of age is 2/],
    ['inputs that are no object', columns, [1], '/inputs', /must be an object/],
  ])('%s', (_title, of, inputs, pointer, message) => {
    const [fault] = faultsOf(of, { inputs });
    expect(fault![0]).toBe(pointer);
    expect(fault![1]).toMatch(message);
  });

  it('sizes of one symbol must agree also where runs are not shared', () => {
    const symbols = signature([
      spec('a', 'FP32', [-1], { symbols: ['N'] }),
      spec('b', 'FP32', [-1], { symbols: ['N'] }),
    ]);
    expect(faultsOf(symbols, { inputs: { a: [1, 2], b: [1] } }, false)).toEqual([
      ['/inputs/b', expect.stringContaining('must be equal')],
    ]);
    const free = signature([spec('a', 'FP32', [-1], { symbols: ['N'] }), spec('b', 'FP32', [-1], { symbols: ['M'] })]);
    expect(readPlainBody({ name: 'm', signature: free, canBatch: false }, { inputs: { a: [1, 2], b: [1] } }).rows).toBe(
      1,
    );
  });
});

it.each([[null], [5], ['x'], [[]], [{}], [{ records: [{}], inputs: {} }], [{ record: [] }]])(
  'a body that is no request: %j',
  (body) => {
    expect(faultsOf(named, body).length).toBeGreaterThan(0);
  },
);
