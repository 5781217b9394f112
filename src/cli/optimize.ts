import type { Quantization } from '../../sdk/src/client.ts';
import { runConversion } from './conversion-run.ts';
import { parseShare } from './key-values.ts';
import type { VerbSpec } from './verb.ts';

const QUANTIZATIONS: readonly Quantization[] = ['none', 'int8', 'int8-static', 'fp16'];

export const optimize: VerbSpec = {
  name: 'optimize',
  summary: 'Make a smaller or quicker version of one',
  about:
    'Takes an ONNX version: passes over its graph, and with --quantize smaller numbers. A new version is made where enough rows are answered alike, and, with --truth, where no more accuracy is lost than allowed on its reference set. ' +
    'Accuracy, size, time and energy of both stand in its lineage. Exit code 8 when it loses too much.',
  examples: [
    ['slipway optimize churn@4', 'passes over the graph only'],
    ['slipway optimize churn@4 --quantize int8', 'weights of 8 bits, numbers on the way measured as they come'],
    ['slipway optimize churn@4 --quantize int8-static --truth label', 'both of 8 bits, looked at on the reference set'],
  ],
  args: [{ name: 'version', help: 'like churn@4, churn@champion or churn@latest', completes: 'version' }],
  options: [
    { flags: '--quantize <how>', help: 'smaller numbers: int8, int8-static or fp16', choices: QUANTIZATIONS },
    { flags: '--least <share>', help: 'least share of rows answered alike, from 0 to 1; 0.99 unless given' },
    { flags: '--truth <column>', help: 'column of the reference set that has what was right' },
    { flags: '--output <name>', help: 'the output held against it; the first unless given' },
    { flags: '--most-lost <share>', help: 'most of the accuracy that may be lost; 0.01 unless given' },
    { flags: '--no-wait', help: 'do not wait for its end' },
  ],
  changes: true,
  async run(call) {
    const { options } = call;
    const [least, mostLost] = [options.text('least'), options.text('mostLost')];
    const [truth, output] = [options.text('truth'), options.text('output')];
    return runConversion(call, {
      kind: 'optimize',
      quantize: (options.text('quantize') as Quantization | undefined) ?? 'none',
      ...(least === undefined ? {} : { leastFidelity: parseShare('--least', least) }),
      ...(truth === undefined ? {} : { truth }),
      ...(output === undefined ? {} : { output }),
      ...(mostLost === undefined ? {} : { mostLost: parseShare('--most-lost', mostLost) }),
    });
  },
};
