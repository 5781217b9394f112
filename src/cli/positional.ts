import type { PredictRequest, Signature, TensorSpec } from '../../sdk/src/types.ts';
import { CliError } from './cli-error.ts';
import { shapeText } from './signature-text.ts';

/** How many names an error lists. */
const MANY = 20;

/**
 * The input whose rows are told apart by position only: the model's one input, a matrix of a fixed number of columns without names, as
 * most exports of scikit-learn have it. null when columns have names or a table cannot be the input.
 */
export function positionalInput(signature: Signature): { spec: TensorSpec; columns: number } | null {
  const [spec, second] = signature.inputs;
  if (spec === undefined || second !== undefined || spec.features !== undefined) return null;
  const [rows, columns] = spec.shape;
  if (spec.shape.length !== 2 || (rows !== -1 && rows !== 1) || columns === undefined || columns < 2) return null;
  return { spec, columns };
}

/** Whether a table can be sent: every input is a column, or has named columns, or is positional. */
export function takesTables(signature: Signature): boolean {
  if (positionalInput(signature) !== null) return true;
  return signature.inputs.every(({ shape, features, optional }) => {
    const [rows, columns] = shape;
    if (optional) return true;
    if (rows !== -1 && !(rows === 1 && shape.length === 2)) return false;
    return shape.length === 1 || (shape.length === 2 && (columns === 1 || features !== undefined));
  });
}

/** How columns get names, so that neither order nor extra columns matter. */
export function featuresAdvice(spec: TensorSpec): string {
  return `name the columns in slipway.yaml, as \`signature.inputs.${spec.name}.features\`, and deploy again`;
}

/** `a, b, c and 4 more`. */
export function namesText(names: readonly string[]): string {
  return names.length > MANY ? `${names.slice(0, MANY).join(', ')} and ${names.length - MANY} more` : names.join(', ');
}

/** Rows without names, as typed: `[5.1, 3.5]` is one, `[[5.1, 3.5], [6, 3]]` are two. Only a model with one input can take them. */
export function requestOfRows(value: readonly unknown[], signature: Signature, where: string): PredictRequest {
  const [spec, second] = signature.inputs;
  if (spec === undefined || second !== undefined) {
    throw new CliError(
      'validation',
      `${where} has values without names, but the model has ${signature.inputs.length} inputs`,
      {
        code: 'invalid_input',
        hint: `Give an object with a value for each of ${namesText(signature.inputs.map((input) => input.name))}.`,
      },
    );
  }
  const depth = depthOf(value);
  const wanted = spec.shape.length;
  // One row of a matrix, or one value of a list, needs its row around it.
  if (depth === wanted) return { inputs: { [spec.name]: value } };
  if (depth === wanted - 1 && (spec.shape[0] === -1 || spec.shape[0] === 1))
    return { inputs: { [spec.name]: [value] } };
  throw new CliError(
    'validation',
    `${where} is nested ${depth} deep, but ${spec.name} is ${spec.datatype} ${shapeText(spec)}`,
    {
      code: 'invalid_input',
      hint: `Nest the values as the shape says, or give a whole body: {"inputs": {"${spec.name}": …}}.`,
    },
  );
}

function depthOf(value: unknown): number {
  return Array.isArray(value) ? 1 + depthOf(value[0]) : 0;
}
