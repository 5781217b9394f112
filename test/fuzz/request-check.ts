/** What becomes of a request, whatever brought it: the models it is tried against, and what holds of every one that is taken. */
import { SlipwayError } from '../../src/base/errors.ts';
import type { Signature, TensorSpec } from '../../src/registry/signature.ts';
import type { InferRequest } from '../../src/serving/protocols/protocol.ts';
import type { InputTarget } from '../../src/serving/tensors/input-check.ts';
import { outcomeOf } from './target.ts';

const spec = (name: string, datatype: TensorSpec['datatype'], ...shape: number[]): TensorSpec => ({
  name,
  datatype,
  shape,
});
const model = (name: string, inputs: TensorSpec[], canBatch = true): InputTarget => {
  const signature: Signature = { inputs, outputs: [spec('Y', 'FP32', -1, 1)] };
  return { name: `${name}@1`, signature, canBatch };
};

const IMAGE = {
  kind: 'image',
  width: 2,
  height: 2,
  channels: 3,
  layout: 'NCHW',
  color: 'rgb',
  resize: 'stretch',
  filter: 'linear',
  scale: 1,
  mean: [0, 0, 0],
  std: [1, 1, 1],
} as const;

/** Together they have every kind of element. */
export const MODELS: readonly InputTarget[] = [
  model('floats', [spec('X', 'FP32', -1, 3)]),
  model('mixed', [spec('age', 'FP32', -1, 1), spec('plan', 'BYTES', -1, 1)]),
  model('numbers', [
    spec('X', 'INT64', -1, 2),
    { ...spec('B', 'BOOL', -1, 1), optional: true },
    { ...spec('H', 'FP16', -1, 1), optional: true },
  ]),
  model('free', [spec('X', 'UINT8', -1, -1), { ...spec('D', 'FP64', -1), optional: true }], false),
];
/** Models whose inputs come as files. */
export const FILE_MODELS: readonly InputTarget[] = [
  model('photo', [
    { ...spec('image', 'FP32', -1, 3, 2, 2), decoder: IMAGE },
    { ...spec('age', 'FP32', -1), optional: true },
  ]),
  model('bytes', [{ ...spec('X', 'INT64', -1, 2), decoder: { kind: 'raw' } }]),
];

/** Each parse must have memory of its own, as in the gateway, because tensors may be views on it. */
export function tryAll(models: readonly InputTarget[], parse: (target: InputTarget) => InferRequest): string {
  return models.map((target) => tryOne(target, parse)).join('|');
}

function tryOne(target: InputTarget, parse: (target: InputTarget) => InferRequest): string {
  let request: InferRequest;
  try {
    request = parse(target);
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error;
    if (error.kind !== 'invalid' && error.kind !== 'too_large') throw error;
    const told = [
      error.message,
      error.hint ?? '',
      ...error.fields.map((field) => field.pointer + field.message),
    ].join();
    if (told.length > 64 * 1024) throw new Error(`the refusal has ${told.length} characters`);
    return outcomeOf(`${error.code} ${error.fields[0]?.message ?? error.message}`);
  }
  check(request, target);
  return `good ${Math.min(request.rows, 3)} ${request.outputs?.length ?? ''}`;
}

/** What the queue, the frames and the engine rely on. */
function check(request: InferRequest, target: InputTarget): void {
  const { inputs, rows } = request;
  const asFiles = new Set((request.encoded ?? []).map((one) => one.name));
  for (const wanted of target.signature.inputs) {
    const given = inputs.filter((input) => input.name === wanted.name);
    if (given.length === 0 && (wanted.optional === true || asFiles.has(wanted.name))) continue;
    const [tensor] = given;
    if (tensor === undefined || given.length > 1) throw new Error(`${wanted.name} is there ${given.length} times`);
    if (tensor.datatype !== wanted.datatype) throw new Error(`${wanted.name} is ${tensor.datatype}`);
    if (tensor.shape.length !== wanted.shape.length) throw new Error(`${wanted.name} has another rank`);
    for (const [axis, size] of tensor.shape.entries()) {
      if (!Number.isSafeInteger(size) || size < 0) throw new Error(`${wanted.name} has the size ${size}`);
      if (wanted.shape[axis] !== -1 && wanted.shape[axis] !== size) throw new Error(`${wanted.name} has another size`);
    }
    const elements = tensor.shape.reduce((product, size) => product * size, 1);
    if (tensor.data.length !== elements)
      throw new Error(`${wanted.name} has ${tensor.data.length} of ${elements} elements`);
  }
  const known = new Set(target.signature.inputs.map((input) => input.name));
  if (inputs.some((input) => !known.has(input.name))) throw new Error('there is an input that the model does not have');
  if (!Number.isSafeInteger(rows) || rows < 0) throw new Error(`there are ${rows} rows`);
  if (target.canBatch && inputs.some((input) => input.shape[0] !== rows))
    throw new Error('the rows are not those of the inputs');
}
