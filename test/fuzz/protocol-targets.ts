/** Bodies of predictions, in every form that the two protocols read. */
import { SlipwayError } from '../../src/base/errors.ts';
import type { Signature, TensorSpec } from '../../src/registry/signature.ts';
import { openInference } from '../../src/serving/protocols/open-inference.ts';
import { plain } from '../../src/serving/protocols/plain.ts';
import type { InferRequest, InferRoute, Protocol } from '../../src/serving/protocols/protocol.ts';
import type { InputTarget } from '../../src/serving/tensors/input-check.ts';
import { type FuzzTarget, outcomeOf } from './target.ts';

const spec = (name: string, datatype: TensorSpec['datatype'], ...shape: number[]): TensorSpec => ({
  name,
  datatype,
  shape,
});
const model = (name: string, inputs: TensorSpec[], canBatch = true): InputTarget => {
  const signature: Signature = { inputs, outputs: [spec('Y', 'FP32', -1, 1)] };
  return { name: `${name}@1`, signature, canBatch };
};

/** Together they have every kind of element. */
const MODELS: readonly InputTarget[] = [
  model('floats', [spec('X', 'FP32', -1, 3)]),
  model('mixed', [spec('age', 'FP32', -1, 1), spec('plan', 'BYTES', -1, 1)]),
  model('numbers', [
    spec('X', 'INT64', -1, 2),
    { ...spec('B', 'BOOL', -1, 1), optional: true },
    { ...spec('H', 'FP16', -1, 1), optional: true },
  ]),
  model('free', [spec('X', 'UINT8', -1, -1), { ...spec('D', 'FP64', -1), optional: true }], false),
];
const WORDS = [
  '"inputs":',
  '"outputs":',
  '"parameters":',
  '"name":',
  '"shape":',
  '"datatype":',
  '"data":',
  '"id":',
  '"records":',
  '"X"',
  '"age"',
  '"plan"',
  '"B"',
  '"H"',
  '"D"',
  '"FP32"',
  '"INT64"',
  '"BYTES"',
  '"UINT8"',
  '"BOOL"',
  '"FP16"',
  '"FP64"',
  '[-1,3]',
  '[16,1152921504606846978]',
  '{"name":"Y"}',
  '"classification":1',
  '"binary_data":true',
  '"priority":1',
  '"timeout":5',
];

const routeOf = (protocol: Protocol): InferRoute =>
  protocol.routes.find((route): route is InferRoute => route.kind === 'infer')!;
const V2 = routeOf(openInference);
const PLAIN = routeOf(plain);

export const openInferenceJson: FuzzTarget = {
  name: 'open-inference',
  dictionary: WORDS,
  run: (input) => tryAll(V2, input, { 'content-type': 'application/json' }),
};

/** The first line is Inference-Header-Content-Length, what follows is the body. */
export const binaryTensors: FuzzTarget = {
  name: 'binary-tensors',
  dictionary: [
    ...WORDS,
    '"parameters":{"binary_data_size":12}',
    '"binary_data_output":true',
    '12\n',
    '0\n',
    '1e3\n',
    '-1\n',
  ],
  run(input) {
    const { line, rest } = splitLine(input);
    return tryAll(V2, rest, { 'content-type': 'application/octet-stream', 'inference-header-content-length': line });
  },
};

/** The first line is the Content-Type, what follows is the body. */
export const plainBodies: FuzzTarget = {
  name: 'plain',
  dictionary: [
    ...WORDS,
    'text/csv\n',
    'text/csv; header=absent\n',
    'application/x-ndjson\n',
    'application/vnd.apache.arrow.stream\n',
    'application/json\n',
    ',',
    '""',
    '"\n',
    ';charset=utf-16',
  ],
  run(input) {
    const { line, rest } = splitLine(input);
    return tryAll(PLAIN, rest, { 'content-type': line });
  },
};

function splitLine(input: Buffer): { line: string; rest: Buffer } {
  const end = input.indexOf(10);
  if (end === -1) return { line: input.toString('latin1').slice(0, 200), rest: Buffer.alloc(0) };
  // Line ends and other controls cannot come in a header: the HTTP parser refuses them.
  const line = input
    .toString('latin1', 0, Math.min(end, 200))
    .replace(/[^\x20-\x7e\x80-\xff\t]/g, '')
    .trim();
  return { line, rest: input.subarray(end + 1) };
}

function tryAll(route: InferRoute, body: Buffer, headers: Record<string, string>): string {
  return MODELS.map((target) => tryOne(route, body, headers, target)).join('|');
}

function tryOne(route: InferRoute, body: Buffer, headers: Record<string, string>, target: InputTarget): string {
  // Every parse has memory of its own, as in the gateway, so that tensors may be views on it.
  const call = { body: Buffer.from(body), headers };
  let request: InferRequest;
  try {
    route.parsesFast?.(call, target);
    request = route.parse(call, target);
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
  for (const wanted of target.signature.inputs) {
    const given = inputs.filter((input) => input.name === wanted.name);
    if (given.length === 0 && wanted.optional === true) continue;
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
