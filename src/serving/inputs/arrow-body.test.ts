import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SlipwayError } from '../../base/errors.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import { writeArrowStream } from '../arrow/arrow-writer.ts';
import { readArrowBody } from './arrow-body.ts';

const STREAMS = join(import.meta.dirname, '../../../test/fixtures/arrow');
const stream = (name: string): Buffer => readFileSync(join(STREAMS, `${name}.arrow`));

const people: readonly TensorSpec[] = [
  { name: 'numbers', datatype: 'FP32', shape: [-1, 2], features: ['age', 'income'] },
  { name: 'plan', datatype: 'BYTES', shape: [-1, 1] },
  { name: 'account', datatype: 'INT64', shape: [-1, 1] },
  { name: 'member', datatype: 'BOOL', shape: [-1] },
];
const lists = (...shape: number[]): readonly TensorSpec[] => [{ name: 'X', datatype: 'FP32', shape: [-1, ...shape] }];
const read = (body: Uint8Array, inputs: readonly TensorSpec[] = people) => {
  const signature: Signature = { inputs, outputs: [] };
  return readArrowBody(body, { name: 'm@1', signature, canBatch: true });
};
const refused = (body: Uint8Array, inputs: readonly TensorSpec[] = people): SlipwayError => {
  try {
    read(body, inputs);
  } catch (error) {
    expect(error).toBeInstanceOf(SlipwayError);
    return error as SlipwayError;
  }
  throw new Error('it was accepted');
};

const NAN = Number.NaN;
const numbers = (...data: number[]) => ({
  name: 'numbers',
  datatype: 'FP32',
  shape: [3, 2],
  data: Float32Array.from(data),
});
const plan = (...data: string[]) => ({ name: 'plan', datatype: 'BYTES', shape: [3, 1], data });
const REST = [
  { name: 'account', datatype: 'INT64', shape: [3, 1], data: BigInt64Array.of(9007199254740993n, 5n, -6n) },
  { name: 'member', datatype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) },
];

describe('a table', () => {
  test.each(['plain', 'two-batches', 'dictionary', 'large-text'])('%s: columns by feature and input name', (name) => {
    expect(read(stream(name))).toEqual({
      rows: 3,
      inputs: [numbers(41, 1000, NAN, 2, 7.5, -3), plan('pro', 'basic', 'pro'), ...REST],
    });
  });

  test('long strings, and those of the view form', () => {
    expect(read(stream('text-view')).inputs[1]).toEqual(plan('a string that is longer than twelve bytes', '', 'pro'));
  });

  test('nulls are NaN and the empty string, and a fault where there is no such value', () => {
    const { inputs } = read(stream('nulls'));
    expect(inputs.slice(0, 2)).toEqual([numbers(NAN, NAN, NAN, NAN, NAN, NAN), plan('', 'a', '')]);
    expect(refused(stream('null-integer')).fields).toEqual([
      { pointer: '/account', message: 'at row 2 must be a whole number, not null' },
    ]);
  });

  test('names that are missing or unknown', () => {
    const other = people.map((spec) => (spec.name === 'plan' ? { ...spec, name: 'plans' } : spec));
    expect(refused(stream('plain'), other).fields).toEqual([
      { pointer: '/plan', message: 'is not a column of this model; did you mean plans?' },
      { pointer: '/plans', message: 'is missing (BYTES [-1,1])' },
    ]);
    expect(refused(stream('fixed-list'), people.slice(0, 1)).fields.map((field) => field.pointer)).toEqual([
      '/X',
      '/age',
      '/income',
    ]);
  });

  test('types that do not fit', () => {
    const text: readonly TensorSpec[] = people.map((spec) =>
      spec.name === 'plan' ? { ...spec, datatype: 'FP32' } : spec,
    );
    expect(refused(stream('plain'), text).fields).toEqual([
      { pointer: '/plan', message: 'must hold numbers, not text' },
    ]);
    const truth: readonly TensorSpec[] = people.map((spec) =>
      spec.name === 'account' ? { ...spec, datatype: 'BOOL' } : spec,
    );
    expect(refused(stream('plain'), truth).fields[0]).toEqual({
      pointer: '/account',
      message: 'at row 1 must be true or false, not a number',
    });
    const small: readonly TensorSpec[] = people.map((spec) =>
      spec.name === 'account' ? { ...spec, datatype: 'INT8' } : spec,
    );
    expect(refused(stream('plain'), small).fields[0]!.message).toContain('at row 1 is out of range for INT8');
  });
});

describe('tensors', () => {
  const X = { name: 'X', datatype: 'FP32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
  test.each(['fixed-list', 'list', 'sliced-list'])('%s: a column of rows', (name) => {
    expect(read(stream(name), lists(3))).toEqual({ rows: 2, inputs: [X] });
    expect(read(stream(name), lists(-1)).inputs).toEqual([X]);
  });

  test('nested lists, and flat ones of the same number of values', () => {
    const data = Float32Array.from({ length: 12 }, (_, at) => at + 1);
    expect(read(stream('nested'), lists(3, 2)).inputs).toEqual([
      { name: 'X', datatype: 'FP32', shape: [2, 3, 2], data },
    ]);
    expect(read(stream('nested'), lists(6)).inputs[0]!.shape).toEqual([2, 6]);
    expect(refused(stream('nested'), lists(2, 2)).message).toContain('with lists of [3,2]');
  });

  test.each([
    ['ragged', /lists of 3 and of 1 items/],
    ['missing-list', /a missing list/],
    ['timestamp', /Timestamp, of which no tensor is made/],
  ])('%s is refused', (name, message) => {
    expect(refused(stream(name), lists(3)).message).toMatch(message);
  });
});

describe('what is no stream is refused', () => {
  test.each([
    ['compressed', /compressed buffers; write it without/],
    ['file', /is an Arrow file \(Feather\), not a stream/],
    ['empty', /has no rows/],
  ])('%s', (name, message) => {
    expect(refused(stream(name)).message).toMatch(message);
  });

  test('nothing, text and other messages', () => {
    expect(refused(Buffer.alloc(0)).message).toContain('is empty');
    expect(refused(Buffer.from('{"records":[]}')).message).toContain('is no Arrow stream');
    expect(refused(Buffer.concat([stream('plain'), Buffer.from('more')])).message).toContain('goes on after its end');
  });

  test('every beginning of a stream', () => {
    const whole = stream('dictionary');
    for (let length = 0; length < whole.length - 8; length += 1) {
      try {
        expect(read(whole.subarray(0, length)).rows).toBe(3); // only the end mark is missing
      } catch (error) {
        expect(error, `length ${length}`).toBeInstanceOf(SlipwayError);
        expect((error as SlipwayError).code).toBe('invalid_input');
      }
    }
  });

  test('any damage: refused or read, in no time, and without growing', () => {
    const seed = Date.now() % 1_000_000;
    let state = seed;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return (state >> 8) % below;
    };
    const names = [
      'plain',
      'two-batches',
      'dictionary',
      'large-text',
      'text-view',
      'nulls',
      'list',
      'nested',
      'fixed-list',
    ];
    const extremes = [0, 1, 0x7f, 0x80, 0xff];
    const startedMs = performance.now();
    for (let round = 0; round < 6000; round++) {
      const name = names[round % names.length]!;
      const bytes = Buffer.from(stream(name));
      for (let i = 0; i <= random(3); i++) {
        const at = random(bytes.length);
        const length = [1, 1, 4, 8][random(4)]!;
        bytes.fill(extremes[random(extremes.length)]!, at, Math.min(bytes.length, at + length));
      }
      try {
        read(bytes, name.includes('list') || name === 'nested' ? lists(name === 'nested' ? 6 : 3) : people);
      } catch (error) {
        expect(error, `seed ${seed}, round ${round}, ${name}`).toBeInstanceOf(SlipwayError);
        expect((error as SlipwayError).code).toBe('invalid_input');
      }
    }
    expect(performance.now() - startedMs).toBeLessThan(30_000);
  });

  test('few bytes that name many values', () => {
    // A list column of one row whose list claims a billion items, by its type alone.
    const [schema, batch, ...rest] = writeArrowStream(1, [
      { name: 'X', datatype: 'FP32', dims: [3], data: Float32Array.of(1, 2, 3) },
    ]);
    const huge = writeArrowStream(1, [
      { name: 'X', datatype: 'FP32', dims: [1_000_000_000], data: Float32Array.of(1) },
    ])[0]!;
    const before = process.memoryUsage.rss();
    expect(refused(Buffer.concat([huge, batch!, ...rest]), lists(-1)).message).toMatch(/damaged|unfolds/);
    expect(read(Buffer.concat([schema!, batch!, ...rest]), lists(3)).rows).toBe(1);
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 * 1024 * 1024);
  });
});

describe('streams that we write', () => {
  test('are read back exactly, whatever the type', () => {
    const of = (name: string, datatype: TensorSpec['datatype'], data: TensorDataOf, ...dims: number[]) => ({
      name,
      datatype,
      dims,
      data,
    });
    type TensorDataOf = Parameters<typeof writeArrowStream>[1][number]['data'];
    const columns = [
      of('bool', 'BOOL', Uint8Array.of(1, 0, 1)),
      of('u8', 'UINT8', Uint8Array.of(0, 255, 3)),
      of('i16', 'INT16', Int16Array.of(-32768, 0, 5)),
      of('u32', 'UINT32', Uint32Array.of(4294967295, 0, 5)),
      of('i64', 'INT64', BigInt64Array.of(-(2n ** 63n), 0n, 5n)),
      of('u64', 'UINT64', BigUint64Array.of(2n ** 64n - 1n, 0n, 5n)),
      of('half', 'FP16', Uint16Array.of(0x3c00, 0xc000, 0x7e00)),
      of('f32', 'FP32', Float32Array.of(1.5, NAN, Number.POSITIVE_INFINITY)),
      of('f64', 'FP64', Float64Array.of(1e300, -0, 0.1)),
      of('text', 'BYTES', ['', 'ünï ✓', 'a'.repeat(50)]),
      of(
        'matrix',
        'FP32',
        Float32Array.from({ length: 12 }, (_, at) => at),
        2,
        2,
      ),
    ];
    const inputs = columns.map(({ name, datatype, dims }): TensorSpec => ({ name, datatype, shape: [-1, ...dims] }));
    const back = read(Buffer.concat(writeArrowStream(3, columns)), inputs);
    expect(back.inputs).toEqual(
      columns.map(({ name, datatype, dims, data }) => ({ name, datatype, shape: [3, ...dims], data })),
    );
  });
});
