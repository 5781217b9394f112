import { describe, expect, it } from 'vitest';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import { tensorsToPredictions } from './plain-predictions.ts';
import type { Tensor } from './tensor.ts';

const spec = (
  name: string,
  datatype: TensorSpec['datatype'],
  shape: number[],
  more: Partial<TensorSpec> = {},
): TensorSpec => ({ name, datatype, shape, ...more });
const signature = (inputs: TensorSpec[], outputs: TensorSpec[]): Signature => ({ inputs, outputs });
const rows = [spec('X', 'FP32', [-1, 3])];

describe('answers', () => {
  const output = (
    name: string,
    shape: number[],
    data: Tensor['data'],
    datatype: Tensor['datatype'] = 'FP32',
  ): Tensor => ({ name, datatype, shape, data });

  it('one prediction a row: bare values, objects by class, nested arrays', () => {
    const of = signature(rows, [
      spec('label', 'INT64', [-1]),
      spec('score', 'FP32', [-1, 1]),
      spec('classes', 'FP32', [-1, 2], { labels: ['no', '__proto__'] }),
      spec('box', 'FP32', [-1, 2, 2]),
      spec('ok', 'BOOL', [-1]),
    ]);
    const outputs = [
      output('label', [2], BigInt64Array.of(1n, 9007199254740993n), 'INT64'),
      output('score', [2, 1], Float32Array.of(0.5, Number.NaN)),
      output('classes', [2, 2], Float32Array.of(0.25, 0.75, 1, 0)),
      output('box', [2, 2, 2], Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)),
      output('ok', [2], Uint8Array.of(1, 0), 'BOOL'),
    ];
    const [first, second] = tensorsToPredictions(of, outputs, 2);
    expect(first).toMatchObject({
      label: 1n,
      score: 0.5,
      box: [
        [1, 2],
        [3, 4],
      ],
      ok: true,
    });
    expect(Object.entries(first!['classes'] as object)).toEqual([
      ['no', 0.25],
      ['__proto__', 0.75],
    ]);
    expect(second).toMatchObject({
      label: 9007199254740993n,
      score: Number.NaN,
      box: [
        [5, 6],
        [7, 8],
      ],
      ok: false,
    });
  });

  it('one whole prediction when an output has no rows', () => {
    const of = signature(rows, [spec('Y', 'FP32', [-1, 1]), spec('total', 'FP32', [])]);
    const outputs = [output('Y', [2, 1], Float32Array.of(1, 2)), output('total', [], Float32Array.of(3))];
    expect(tensorsToPredictions(of, outputs, 2)).toEqual([{ Y: [[1], [2]], total: 3 }]);
  });

  it('one whole prediction when the inputs have no rows, even if the sizes happen to agree', () => {
    const of = signature([spec('v', 'FP32', [3])], [spec('w', 'FP32', [-1])]);
    expect(tensorsToPredictions(of, [output('w', [3], Float32Array.of(1, 2, 3))], 3)).toEqual([{ w: [1, 2, 3] }]);
  });

  it('one whole prediction when the model answers with another number of rows', () => {
    const of = signature(rows, [spec('top', 'FP32', [-1])]);
    expect(tensorsToPredictions(of, [output('top', [5], Float32Array.of(1, 2, 3, 4, 5))], 2)).toEqual([
      { top: [1, 2, 3, 4, 5] },
    ]);
  });

  it('labels that do not fit the width are not guessed', () => {
    const of = signature(rows, [spec('p', 'FP32', [-1, -1], { labels: ['a', 'b'] })]);
    expect(tensorsToPredictions(of, [output('p', [1, 3], Float32Array.of(1, 2, 3))], 1)).toEqual([{ p: [1, 2, 3] }]);
  });
});
