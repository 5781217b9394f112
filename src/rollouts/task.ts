/** What a model is for, as far as its outputs tell, and so how its answers are counted and compared. */
import type { Signature, TensorSpec } from '../registry/signature.ts';
import type { ComparisonSpec, OutputMeasure } from '../serving/endpoints/traffic.ts';

export const TASKS = ['classification', 'regression', 'ranking', 'text', 'unknown'] as const;
export type TaskKind = (typeof TASKS)[number];

export type Task = {
  readonly kind: TaskKind;
  /** The output that decides; null where none can be told. */
  readonly output: string | null;
  readonly outputs: readonly OutputMeasure[];
  readonly compare: ComparisonSpec;
};

/** More classes than this are counted as numbers of no order, which says little: they are not counted. */
const MAX_CLASSES = 32;
const SCORES = /prob|score|logit/i;
/** Differences of numbers that count: 5 % of the live value, and not of nothing. */
const RELATIVE = 0.05;
const ABSOLUTE = 1e-6;
const RANKED = 10;

/** @param asked what the plan says; otherwise it is told from names and shapes */
export function taskOf({ outputs }: Signature, asked: TaskKind | null = null): Task {
  const classes = outputs.find((one) => classesOf(one) !== null);
  const number = outputs.find(isNumber);
  const text = outputs.find((one) => one.datatype === 'BYTES');
  const vector = outputs.find((one) => isFloat(one) && one.shape.length === 2);
  const kind = asked ?? (classes ? 'classification' : number ? 'regression' : text ? 'text' : 'unknown');
  switch (kind) {
    case 'classification': {
      const output = classes ?? outputs[0];
      return output === undefined ? unknown() : classification(output);
    }
    case 'regression': {
      const output = number ?? vector;
      return output === undefined ? unknown() : regression(output);
    }
    case 'ranking': {
      const output = vector ?? outputs[0];
      if (output === undefined) return unknown();
      return { kind, output: output.name, outputs: [], compare: { kind, output: output.name, k: RANKED } };
    }
    case 'text': {
      const output = text ?? outputs[0];
      if (output === undefined) return unknown();
      return { kind, output: output.name, outputs: [], compare: { kind, output: output.name } };
    }
    case 'unknown':
      return unknown();
  }
}

function unknown(): Task {
  return { kind: 'unknown', output: null, outputs: [], compare: { kind: 'exact' } };
}

function classification(output: TensorSpec): Task {
  const { name } = output;
  const classes = classesOf(output);
  return {
    kind: 'classification',
    output: name,
    outputs: classes === null ? [] : [{ kind: 'class', output: name, classes }],
    compare: { kind: 'classification', output: name, threshold: null },
  };
}

function regression(output: TensorSpec): Task {
  const { name } = output;
  const column = output.shape.length === 2 ? 0 : null;
  return {
    kind: 'regression',
    output: name,
    outputs: [{ kind: 'number', output: name, column, edges: [] }],
    compare: { kind: 'regression', output: name, absolute: ABSOLUTE, relative: RELATIVE },
  };
}

/** Class names where an output has them, or their numbers where it is a row of scores. */
function classesOf(output: TensorSpec): readonly string[] | null {
  const width = output.shape.length === 2 ? output.shape[1]! : 0;
  if (output.labels !== undefined) return output.labels.length <= MAX_CLASSES ? output.labels : null;
  if (!isFloat(output) || !SCORES.test(output.name) || width < 2 || width > MAX_CLASSES) return null;
  return Array.from({ length: width }, (_, at) => String(at));
}

function isFloat(output: TensorSpec): boolean {
  return output.datatype.startsWith('FP') || output.datatype === 'BF16';
}

function isNumber(output: TensorSpec): boolean {
  return isFloat(output) && (output.shape.length < 2 || (output.shape.length === 2 && output.shape[1] === 1));
}
