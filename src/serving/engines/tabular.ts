import { SlipwayError } from '../../base/errors.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { Engine, LoadedModel, LoadOptions } from './engine.ts';
import { compile, whyNot } from './tabular/compile.ts';
import type { Job, Plan } from './tabular/plan.ts';

/** A model that answers at once, and knows what that costs. */
export type TabularModel = LoadedModel & {
  /** As `run`, without waiting for anything. */
  runNow(inputs: readonly Tensor[], rows: number): Tensor[];
  /** As `runNow`, bit by bit. */
  begin(inputs: readonly Tensor[], rows: number): Job;
  /** An estimate, known before the first call. */
  readonly costPerCallUs: number;
  readonly costPerRowUs: number;
  /** What the outputs of a row take. */
  readonly outputBytesPerRow: number;
};

/**
 * Models of tables (trees, linear models, small dense layers, with what prepares their columns) in TypeScript: compiled once into flat typed arrays, no native code. A graph
 * is covered whole or not at all.
 */
export const tabularEngine: Engine = {
  name: 'tabular',
  load: async (options) => loadTabular(options),
};

/** @throws SlipwayError `model_unsupported` for what is not covered, `model_invalid` */
export function loadTabular({ entryBytes, signature }: Pick<LoadOptions, 'entryBytes' | 'signature'>): TabularModel {
  let plan: Plan;
  try {
    plan = compile(entryBytes, signature);
  } catch (error) {
    const why = whyNot(error);
    if (why === null) throw error;
    if (why.kind === 'invalid') throw new SlipwayError('model_invalid', `The model cannot be read: ${why.reason}`);
    throw new SlipwayError('model_unsupported', `The engine tabular does not cover this model: ${why.reason}`, {
      hint: 'Deploy it with --engine auto or --engine onnxruntime.',
    });
  }
  return {
    costPerCallUs: plan.costPerCallUs,
    costPerRowUs: plan.costPerRowUs,
    outputBytesPerRow: plan.outputBytesPerRow,
    begin: (inputs, rows) => plan.begin(inputs, rows),
    runNow: (inputs, rows) => plan.run(inputs, rows),
    run: async (inputs) => plan.run(inputs, inputs[0]?.shape[0] ?? 1),
    close: async () => {},
  };
}
