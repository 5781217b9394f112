import { runConversion } from './conversion-run.ts';
import { parseShare } from './key-values.ts';
import type { VerbSpec } from './verb.ts';

export const convert: VerbSpec = {
  name: 'convert',
  summary: 'Make an ONNX version of one, where the numbers agree',
  about:
    'Converts it in its own Python environment, asks both the same rows (its golden set, its example, its reference set, and rows drawn from the signature), and makes a new version where no answer differs by more ' +
    'than the tolerance. Both stay; endpoints are not moved. Exit code 8 when the answers differ.',
  examples: [
    ['slipway convert churn@3 --to onnx', 'a further version, with the report of differences, size and speed'],
    ['slipway convert churn@3 --to onnx --tolerance 0.001', 'allows more'],
  ],
  args: [{ name: 'version', help: 'like churn@3, churn@champion or churn@latest', completes: 'version' }],
  options: [
    { flags: '--to <format>', help: 'what to convert to; onnx unless given', choices: ['onnx'] },
    {
      flags: '--tolerance <number>',
      help: 'a number n passes when it differs by at most this, or this times |n|; 0.00001 and 0.0001 unless given',
    },
    { flags: '--no-wait', help: 'do not wait for its end' },
  ],
  changes: true,
  async run(call) {
    const given = call.options.text('tolerance');
    const tolerance = given === undefined ? undefined : parseShare('--tolerance', given, Number.MAX_VALUE);
    return runConversion(call, {
      kind: 'convert',
      to: 'onnx',
      ...(tolerance === undefined ? {} : { tolerance: { absolute: tolerance, relative: tolerance } }),
    });
  },
};
