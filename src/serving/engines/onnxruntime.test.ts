import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Datatype, Signature } from '../../registry/signature.ts';
import type { NumericData, Tensor } from '../tensors/tensor.ts';
import { type ConformanceModel, testEngine } from './engine-conformance.ts';
import { onnxRuntimeEngine } from './onnxruntime.ts';

const at = (name: string): string => fileURLToPath(new URL(`../../../test/fixtures/models/${name}`, import.meta.url));

const signature = (inputs: Signature['inputs'], outputs: Signature['outputs']): Signature => ({ inputs, outputs });
const rows3: Signature = signature(
  [{ name: 'X', datatype: 'FP32', shape: [-1, 3] }],
  [{ name: 'Y', datatype: 'FP32', shape: [-1, 3] }],
);
const floats = (name: string, shape: number[], data: number[]): Tensor => ({
  name,
  datatype: 'FP32',
  shape,
  data: Float32Array.from(data),
});

function identity(datatype: Datatype, data: NumericData | string[], input = 'X'): ConformanceModel {
  const column = (name: string, length: number) => ({ name, datatype, shape: [length, 1] });
  return {
    title: `${datatype} data`,
    entryPath: at(`${datatype === 'BYTES' ? 'strings' : datatype.toLowerCase()}.onnx`),
    signature: signature([column(input, -1)], [column('Y', -1)]),
    calls: [{ inputs: [{ ...column(input, data.length), data }], outputs: [{ ...column('Y', data.length), data }] }],
  };
}

const add: ConformanceModel = {
  title: 'rows of floats',
  entryPath: at('add.onnx'),
  signature: rows3,
  calls: [
    { inputs: [floats('X', [1, 3], [1, 2, 3])], outputs: [floats('Y', [1, 3], [2, 3, 4])] },
    { inputs: [floats('X', [2, 3], [0, -1, 0.5, 7, 8, 9])], outputs: [floats('Y', [2, 3], [1, 0, 1.5, 8, 9, 10])] },
  ],
};

const poison: ConformanceModel = {
  title: 'a table',
  entryPath: at('poison.onnx'),
  signature: signature(
    [{ name: 'idx', datatype: 'INT64', shape: [-1] }],
    [{ name: 'Y', datatype: 'FP32', shape: [-1] }],
  ),
  calls: [],
};
const index = (values: bigint[]): Tensor => ({
  name: 'idx',
  datatype: 'INT64',
  shape: [values.length],
  data: BigInt64Array.from(values),
});

const golden = JSON.parse(readFileSync(at('golden.json'), 'utf8')) as Record<
  string,
  { inputs: { inputs: Record<string, unknown> }; outputs: Record<string, unknown> }[]
>;

const optional: ConformanceModel = {
  title: 'an optional input, given and left out',
  entryPath: at('optional.onnx'),
  signature: signature([rows3.inputs[0]!, { name: 'B', datatype: 'FP32', shape: [1], optional: true }], rows3.outputs),
  calls: [
    { inputs: [floats('X', [1, 3], [1, 2, 3])], outputs: [floats('Y', [1, 3], [6, 7, 8])] },
    {
      inputs: [floats('X', [1, 3], [1, 2, 3]), floats('B', [1], [0.5])],
      outputs: [floats('Y', [1, 3], [1.5, 2.5, 3.5])],
    },
    { inputs: [floats('X', [1, 3], [1, 2, 3])], outputs: [floats('Y', [1, 3], [6, 7, 8])] },
  ],
};

const first = golden['poison']![0]!;
const withCall: ConformanceModel = {
  ...poison,
  calls: [
    {
      inputs: [index((first.inputs.inputs['idx'] as (string | number)[]).map((value) => BigInt(value)))],
      outputs: [floats('Y', [(first.outputs['Y'] as number[]).length], first.outputs['Y'] as number[])],
    },
  ],
};

testEngine({
  create: () => onnxRuntimeEngine,
  models: [
    add,
    optional,
    identity('BOOL', Uint8Array.of(0, 1, 1)),
    identity('UINT8', Uint8Array.of(0, 255)),
    identity('UINT16', Uint16Array.of(0, 65_535)),
    identity('UINT32', Uint32Array.of(0, 4_294_967_295)),
    identity('UINT64', BigUint64Array.of(0n, 2n ** 64n - 1n)),
    identity('INT8', Int8Array.of(-128, 127)),
    identity('INT16', Int16Array.of(-32_768, 32_767)),
    identity('INT32', Int32Array.of(-(2 ** 31), 2 ** 31 - 1)),
    identity('INT64', BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, 9_007_199_254_740_993n)),
    // 1, NaN with a payload, -Infinity, the smallest subnormal: all 16 bits must stay
    identity('FP16', Uint16Array.of(0x3c00, 0x7e01, 0xfc00, 0x0001)),
    identity('FP32', Float32Array.of(0, -0, Number.NaN, Number.POSITIVE_INFINITY, 1e-45, 3.4028234663852886e38)),
    identity('FP64', Float64Array.of(0, -0, Number.NaN, Number.NEGATIVE_INFINITY, 5e-324, Number.MAX_VALUE)),
    identity('BYTES', ['', 'a', 'zwölf', '\u{1f600}', 'line\nbreak', 'x'.repeat(100_000)], 'S'),
  ],
  rows: add,
  poison: { model: withCall, inputs: [index([99n])] },
  refused: [
    { title: 'a truncated file', entryPath: at('truncated.onnx'), signature: rows3, code: 'model_invalid' },
    { title: 'an empty file', entryPath: at('empty.onnx'), signature: rows3, code: 'model_invalid' },
    { title: 'a text', entryPath: at('text.onnx'), signature: rows3, code: 'model_invalid' },
    { title: 'an unknown operator', entryPath: at('unknown-op.onnx'), signature: rows3, code: 'model_unsupported' },
    {
      title: 'an opset of the future',
      entryPath: at('future-opset.onnx'),
      signature: rows3,
      code: 'model_unsupported',
    },
    {
      title: 'external data outside of the working directory',
      entryPath: at('external-absolute/model.onnx'),
      signature: rows3,
      code: 'model_invalid',
    },
    {
      title: 'external data behind ..',
      entryPath: at('external-dotdot/model.onnx'),
      signature: rows3,
      code: 'model_invalid',
    },
    {
      title: 'external data that is not there',
      entryPath: at('external-missing/model.onnx'),
      signature: rows3,
      code: 'model_invalid',
    },
    {
      title: 'BF16 by its name',
      entryPath: at('bf16.onnx'),
      signature: identity('BF16', Uint16Array.of(1)).signature,
      code: 'model_unsupported',
    },
    {
      title: 'a signature with an output that the model lacks',
      entryPath: at('add.onnx'),
      signature: signature(rows3.inputs, [{ name: 'Z', datatype: 'FP32', shape: [-1] }]),
      code: 'model_invalid',
    },
  ],
});

describe('ONNX models', () => {
  const load = (name: string, of: Signature) =>
    onnxRuntimeEngine.load({ entryPath: at(name), entryBytes: readFileSync(at(name)), signature: of, threads: 1 });

  test('with a ZipMap answer the scores as a tensor', async () => {
    const [expected] = golden['zipmap']!;
    const rows = expected!.inputs.inputs['X'] as number[][];
    const scores = (expected!.outputs['output_probability'] as Record<string, number>[]).map((row) =>
      Object.values(row),
    );
    const model = await load(
      'zipmap.onnx',
      signature(
        [{ name: 'X', datatype: 'FP32', shape: [-1, 2] }],
        [
          { name: 'output_label', datatype: 'INT64', shape: [-1] },
          { name: 'output_probability', datatype: 'FP32', shape: [-1, 3], labels: ['0', '1', '2'] },
        ],
      ),
    );
    const [label, probability] = await model.run([floats('X', [rows.length, 2], rows.flat())]);
    expect(label!.data).toEqual(BigInt64Array.of(2n, 0n));
    expect(probability!.shape).toEqual([2, 3]);
    for (const [i, score] of scores.flat().entries()) expect(probability!.data[i]).toBeCloseTo(score, 5);
    await model.close();
  });

  test('never get a string that would be cut off at a NUL', async () => {
    const strings = signature(
      [{ name: 'S', datatype: 'BYTES', shape: [-1, 1] }],
      [{ name: 'Y', datatype: 'BYTES', shape: [-1, 1] }],
    );
    const model = await load('strings.onnx', strings);
    const cut: Tensor = { name: 'S', datatype: 'BYTES', shape: [1, 1], data: ['a\0b'] };
    await expect(model.run([cut])).rejects.toThrow(/NUL/);
    await model.close();
  });

  test('never get a BOOL that is neither 0 nor 1', async () => {
    const of = identity('BOOL', Uint8Array.of(1));
    const model = await load('bool.onnx', of.signature);
    await expect(model.run([{ ...of.calls[0]!.inputs[0]!, data: Uint8Array.of(2) }])).rejects.toThrow(/neither true/);
    await model.close();
  });

  test('keep the memory of a session when batches come in all sizes', async () => {
    const model = await load('add.onnx', rows3);
    for (let rows = 1; rows <= 300; rows++) {
      const [output] = await model.run([floats('X', [rows, 3], new Array(rows * 3).fill(rows))]);
      expect(output!.data[rows * 3 - 1]).toBe(rows + 1);
    }
    await model.close();
  });
});
