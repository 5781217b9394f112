import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { randomNumbers } from '../../base/random-numbers.ts';
import { readOnnxModel } from '../../registry/imports/onnx-reader.ts';
import { signatureOfModel } from '../../registry/imports/onnx-signature.ts';
import { bytesSource } from '../../registry/imports/protobuf-cursor.ts';
import type { Signature } from '../../registry/signature.ts';
import { recordsToTensors } from '../tensors/plain-codec.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { compareAnswers } from './answers-agree.ts';
import { type ConformanceModel, testEngine } from './engine-conformance.ts';
import { onnxRuntimeEngine } from './onnxruntime.ts';
import { createProbe } from './tabular/probe-inputs.ts';
import { loadTabular, tabularEngine } from './tabular.ts';

const FIXTURES = fileURLToPath(new URL('../../../test/fixtures/tabular/', import.meta.url));
const MODELS = fileURLToPath(new URL('../../../test/fixtures/models/', import.meta.url));
const NAMES = readdirSync(FIXTURES)
  .filter((file) => file.endsWith('.onnx') && !file.startsWith('hostile-'))
  .map((file) => file.slice(0, -5));
const SEED = Number(process.env['SLIPWAY_SEED'] ?? Math.floor(Math.random() * 1e9));

async function read(path: string): Promise<{ bytes: Uint8Array; signature: Signature; entryPath: string }> {
  const bytes = readFileSync(path);
  const { signature } = signatureOfModel(await readOnnxModel(bytesSource(bytes)), path);
  return { bytes, signature, entryPath: path };
}

const floats = (name: string, shape: number[], data: number[]): Tensor => ({
  name,
  datatype: 'FP32',
  shape,
  data: Float32Array.from(data),
});
const rows3: Signature = {
  inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 3] }],
  outputs: [{ name: 'Y', datatype: 'FP32', shape: [-1, 3] }],
};
const add: ConformanceModel = {
  title: 'rows of floats',
  entryPath: `${MODELS}add.onnx`,
  signature: rows3,
  calls: [
    { inputs: [floats('X', [1, 3], [1, 2, 3])], outputs: [floats('Y', [1, 3], [2, 3, 4])] },
    { inputs: [floats('X', [2, 3], [0, -1, 0.5, 7, 8, 9])], outputs: [floats('Y', [2, 3], [1, 0, 1.5, 8, 9, 10])] },
  ],
};
const poison: ConformanceModel = {
  title: 'a table',
  entryPath: `${MODELS}poison.onnx`,
  signature: {
    inputs: [{ name: 'idx', datatype: 'INT64', shape: [-1] }],
    outputs: [{ name: 'Y', datatype: 'FP32', shape: [-1] }],
  },
  calls: [],
};
const index = (...values: bigint[]): Tensor => ({
  name: 'idx',
  datatype: 'INT64',
  shape: [values.length],
  data: BigInt64Array.from(values),
});
const ofTable = JSON.parse(readFileSync(`${MODELS}golden.json`, 'utf8')).poison[0];
const table: ConformanceModel = {
  ...poison,
  calls: [
    {
      inputs: [index(...ofTable.inputs.inputs.idx.map(BigInt))],
      outputs: [floats('Y', [ofTable.outputs.Y.length], ofTable.outputs.Y)],
    },
  ],
};

function identity(
  datatype: 'BOOL' | 'INT8' | 'INT32' | 'UINT16' | 'INT64' | 'FP32' | 'FP64' | 'BYTES',
  data: Tensor['data'],
): ConformanceModel {
  const input = datatype === 'BYTES' ? 'S' : 'X';
  const column = (name: string, length: number) => ({ name, datatype, shape: [length, 1] });
  return {
    title: `${datatype} data`,
    entryPath: `${MODELS}${datatype === 'BYTES' ? 'strings' : datatype.toLowerCase()}.onnx`,
    signature: { inputs: [column(input, -1)], outputs: [column('Y', -1)] },
    calls: [{ inputs: [{ ...column(input, data.length), data }], outputs: [{ ...column('Y', data.length), data }] }],
  };
}

testEngine({
  create: () => tabularEngine,
  models: [
    add,
    table,
    identity('BOOL', Uint8Array.of(0, 1, 1)),
    identity('INT8', Int8Array.of(-128, 127)),
    identity('UINT16', Uint16Array.of(0, 65_535)),
    identity('INT32', Int32Array.of(-(2 ** 31), 2 ** 31 - 1)),
    identity('INT64', BigInt64Array.of(-(2n ** 53n) + 1n, 2n ** 53n - 1n)),
    identity('FP32', Float32Array.of(0, -0, Number.NaN, Number.POSITIVE_INFINITY, 1e-45, 3.4028234663852886e38)),
    identity('FP64', Float64Array.of(0, -0, Number.NaN, Number.NEGATIVE_INFINITY, 5e-324, Number.MAX_VALUE)),
    identity('BYTES', ['', 'a', 'zwölf', '\u{1f600}', 'a\0b', 'x'.repeat(100_000)]),
  ],
  rows: add,
  poison: { model: table, inputs: [index(99n)] },
  refused: [
    { title: 'a truncated file', entryPath: `${MODELS}truncated.onnx`, signature: rows3, code: 'model_invalid' },
    { title: 'an empty file', entryPath: `${MODELS}empty.onnx`, signature: rows3, code: 'model_invalid' },
    { title: 'a text', entryPath: `${MODELS}text.onnx`, signature: rows3, code: 'model_invalid' },
    {
      title: 'an unknown operator',
      entryPath: `${MODELS}unknown-op.onnx`,
      signature: rows3,
      code: 'model_unsupported',
    },
    {
      title: 'an opset of the future',
      entryPath: `${MODELS}future-opset.onnx`,
      signature: rows3,
      code: 'model_unsupported',
    },
    {
      title: 'weights in another file',
      entryPath: `${MODELS}external/model.onnx`,
      signature: rows3,
      code: 'model_unsupported',
    },
    {
      title: 'a signature with an output that the model lacks',
      entryPath: `${MODELS}add.onnx`,
      signature: { ...rows3, outputs: [{ name: 'Z', datatype: 'FP32', shape: [-1] }] },
      code: 'model_invalid',
    },
  ],
});

describe('a call of the engine tabular', () => {
  test('with a whole number that would be rounded is refused', async () => {
    const big: Tensor = { name: 'X', datatype: 'INT64', shape: [1, 1], data: BigInt64Array.of(2n ** 53n + 1n) };
    const { bytes, signature } = await read(`${MODELS}int64.onnx`);
    expect(() => loadTabular({ entryBytes: bytes, signature }).runNow([big], 1)).toThrow(
      /9007199254740993.*onnxruntime/,
    );
  });

  test('leaves nothing of it behind: later and larger calls write into memory of their own', async () => {
    const { bytes, signature } = await read(`${FIXTURES}boosting.onnx`);
    const model = loadTabular({ entryBytes: bytes, signature });
    const probe = createProbe(bytes, signature, 1);
    const few = probe(3, false);
    const before = model.runNow(few, 3);
    const copy = structuredClone(before);
    const many = model.runNow(probe(700, true), 700);
    model.runNow(probe(1, true), 1);
    expect(before).toEqual(copy);
    expect(many[1]!.data.length).toBe(1400);
  });
});

describe('a graph that lies about itself is refused soon and in words:', () => {
  test.each([
    ['circle', /circle/],
    ['self', /circle/],
    ['child-missing', /points to the node 7, which it does not have/],
    ['child-negative', /points to the node -1/],
    ['column-missing', /column 2, and there are 2/],
    ['mode-unknown', /unknown mode BRANCH_MAYBE/],
    ['lists-differ', /3 nodes, and a list of 1/],
    ['target-missing', /target 5, and there are 1/],
    ['unfolds', /shares its branches too often/],
    ['huge-constant', /elements, and it has 0/],
    ['many-targets', /coefficients for 2 features|67 million/],
    ['circle-of-nodes', /reads B, which no node before it gives/],
  ])('%s', (name, words) => {
    const bytes = readFileSync(`${FIXTURES}hostile-${name}.onnx`);
    const signature: Signature = {
      inputs: [{ name: 'X', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [{ name: 'Y', datatype: 'FP32', shape: [-1, 1] }],
    };
    const startedMs = performance.now();
    expect(() => loadTabular({ entryBytes: bytes, signature })).toThrow(words);
    expect(performance.now() - startedMs).toBeLessThan(500);
  });

  test('and bytes turned at random, never by another error than these', async () => {
    const { bytes, signature } = await read(`${FIXTURES}xgboost.onnx`);
    const random = randomNumbers(SEED);
    for (let round = 0; round < 400; round++) {
      const copy = bytes.slice();
      for (let k = 0; k < 1 + round / 40; k++) copy[Math.floor(random() * copy.length)] = Math.floor(random() * 256);
      try {
        const model = loadTabular({ entryBytes: copy, signature });
        model.runNow([floats('X', [1, 8], [1, 2, 3, 4, 5, 6, 7, 8])], 1);
      } catch (error) {
        expect(
          ['model_invalid', 'model_unsupported'],
          `SLIPWAY_SEED=${SEED}, round ${round}: ${(error as Error).stack}`,
        ).toContain((error as { code?: string }).code);
      }
    }
  });
});

/** Graphs that are there to be refused, and why. */
const UNCOVERED: Readonly<Record<string, RegExp>> = {
  'uncovered-cumsum': /operator CumSum/,
  'uncovered-probit': /linear models with PROBIT/,
  'uncovered-rows-mean': /ReduceMean in it mixes rows/,
};

describe(`generated models of tables (SLIPWAY_SEED=${SEED})`, () => {
  test('are here in number', () => {
    expect(NAMES.length).toBeGreaterThan(90);
    for (const name of Object.keys(UNCOVERED)) expect(NAMES).toContain(name);
  });

  for (const name of NAMES) {
    const refused = UNCOVERED[name];
    test(
      refused === undefined ? `${name} is covered and agrees with ONNX Runtime` : `${name} is not covered, in words`,
      async () => {
        const { bytes, signature, entryPath } = await read(`${FIXTURES}${name}.onnx`);
        if (refused !== undefined) {
          expect(() => loadTabular({ entryBytes: bytes, signature })).toThrow(refused);
          return;
        }
        const model = loadTabular({ entryBytes: bytes, signature });
        const ort = await onnxRuntimeEngine.load({ entryPath, entryBytes: bytes, signature, threads: 1 });
        const golden = JSON.parse(readFileSync(`${FIXTURES}${name}.json`, 'utf8')) as {
          inputs: Record<string, unknown>;
          outputs: Record<string, unknown>;
        };
        const { inputs } = recordsToTensors(signature, { inputs: golden.inputs });
        const probe = createProbe(bytes, signature, SEED);
        const agree = async (call: readonly Tensor[], what: string): Promise<void> => {
          const expected = await ort.run(call).catch((error: Error) => error);
          if (expected instanceof Error) {
            // What the one refuses, the other refuses.
            expect(() => model.runNow(call, call[0]!.shape[0]!), `${name}: ${what}: ${expected.message}`).toThrow();
            return;
          }
          const rows = call[0]!.shape[0]!;
          const actual = model.runNow(call, rows);
          expect(compareAnswers(expected, actual).difference, `${name}: ${what}`).toBe(null);
          if (rows > 8) return;
          // The ways of one row and of many must not differ at all.
          for (let row = 0; row < rows; row++) {
            const one = call.map((input) => rowOf(input, row, rows));
            for (const [i, output] of model.runNow(one, 1).entries())
              expect([...output.data], `${name}: row ${row} alone`).toEqual([...rowOf(actual[i]!, row, rows).data]);
          }
        };
        await agree(inputs, 'golden rows');
        for (const rows of [1, 3, 8, 100, 300]) await agree(probe(rows, false), `${rows} random rows`);
        for (const rows of [1, 7, 200]) await agree(probe(rows, true), `${rows} wild rows`);
        await ort.close();
      },
    );
  }
});

/** One of some rows; the rows are the first dimension of inputs, and of outputs they are what is counted. */
function rowOf(tensor: Tensor, row: number, rows: number): Tensor {
  const width = tensor.data.length / rows;
  return {
    ...tensor,
    shape: [1, ...tensor.shape.slice(1)],
    data: tensor.data.slice(row * width, (row + 1) * width),
  };
}
