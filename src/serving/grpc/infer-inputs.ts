/** From the message to the domain: what a ModelInferRequest asks of a model, checked against its signature. All faults at once. */
import { type FieldError, MAX_FIELD_ERRORS } from '../../base/errors.ts';
import type { TensorSpec } from '../../registry/signature.ts';
import type { AnswerForm } from '../protocols/open-inference-answer.ts';
import {
  readInputParameters,
  readOutputParameters,
  readRequestParameters,
} from '../protocols/open-inference-parameters.ts';
import { unknownName } from '../protocols/open-inference-request.ts';
import type { InferRequest } from '../protocols/protocol.ts';
import { assessShape, assessSizes, type InputTarget, invalidInput, rowsOf, shapeText } from '../tensors/input-check.ts';
import { readRaw } from '../tensors/raw-elements.ts';
import { elementCount } from '../tensors/shape.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { Parameters, WireInferRequest, WireInput } from './infer-request.ts';
import { readContents } from './tensor-contents.ts';

/** @throws SlipwayError `invalid_input` */
export function toInferRequest(wire: WireInferRequest, target: InputTarget): InferRequest {
  const faults: FieldError[] = [];
  const options = wire.parameters === null ? null : readRequestParameters(wire.parameters, faults);
  const inputs = readInputs(wire, target, faults);
  const asked = wire.outputs.length === 0 ? null : readOutputs(wire, target, faults);
  if (faults.length > 0) throw invalidInput(target, faults);
  return {
    id: wire.id === '' ? null : wire.id,
    inputs,
    rows: rowsOf(inputs),
    outputs: asked === null ? null : asked.names,
    form: asked?.form,
    ...(options?.priority === undefined ? {} : { priority: options.priority }),
    ...(options?.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
  };
}

function readInputs(wire: WireInferRequest, target: InputTarget, faults: FieldError[]): Tensor[] {
  const specs = target.signature.inputs;
  const { inputs, raw } = wire;
  if (raw.length > 0 && raw.length !== inputs.length) {
    faults.push({
      pointer: '/raw_input_contents',
      message: `has ${raw.length} entries for ${inputs.length} inputs; when it is used, it holds one for each`,
    });
    return [];
  }
  const found: InputHead[] = [];
  for (let i = 0; i < inputs.length && faults.length < MAX_FIELD_ERRORS; i++) {
    const input = inputs[i]!;
    const spec = specs[i]?.name === input.name ? specs[i] : specs.find((one) => one.name === input.name);
    if (spec === undefined) {
      faults.push({
        pointer: `/inputs/${i}/name`,
        message: unknownName(input.name === '' ? undefined : input.name, 'an input', specs),
      });
      continue;
    }
    if (found.some((one) => one.name === spec.name)) {
      faults.push({ pointer: `/inputs/${i}/name`, message: `${spec.name} is given twice` });
    }
    const head = readHead(input, raw.length > 0 ? raw[i]! : null, i, spec, faults);
    if (head !== null) found.push(head);
  }
  if (found.length < specs.length) {
    for (const spec of specs) {
      if (spec.optional || inputs.some((one) => one.name === spec.name)) continue;
      faults.push({ pointer: '/inputs', message: `lacks the input ${spec.name} (${shapeText(spec)})` });
    }
  }
  // Sizes that do not agree are told before anybody reads millions of elements.
  if (faults.length === 0) {
    assessSizes(target, found, (index) => `/inputs/${found[index]!.index}/shape`, faults);
    if (faults.length > 0) return [];
  }
  const tensors: Tensor[] = [];
  for (let i = 0; i < found.length && faults.length < MAX_FIELD_ERRORS; i++) {
    const tensor = readTensor(found[i]!, faults);
    if (tensor !== null) tensors.push(tensor);
  }
  return tensors;
}

/** An input whose elements are still to be read: raw ones, or those of its contents. */
type InputHead = {
  readonly name: string;
  readonly datatype: TensorSpec['datatype'];
  readonly shape: readonly number[];
  readonly count: number;
  readonly raw: Buffer | null;
  readonly contents: WireInput['contents'];
  /** Its place in the message. */
  readonly index: number;
};

function readTensor(head: InputHead, faults: FieldError[]): Tensor | null {
  const { name, datatype, shape, count, raw, contents, index } = head;
  const data =
    raw !== null
      ? readRaw(datatype, count, raw, `/raw_input_contents/${index}`, faults)
      : readContents(datatype, count, contents!, `/inputs/${index}/contents`, faults);
  return data === null ? null : { name, datatype, shape, data };
}

function readHead(
  input: WireInput,
  raw: Buffer | null,
  index: number,
  spec: TensorSpec,
  faults: FieldError[],
): InputHead | null {
  const at = `/inputs/${index}`;
  const { datatype, shape, parameters, contents } = input;
  const before = faults.length;
  if (parameters !== null) {
    const { binarySize } = readInputParameters(parameters, `${at}/parameters`, faults);
    const message = 'belongs to HTTP; here bytes are in raw_input_contents';
    if (binarySize !== undefined) faults.push({ pointer: `${at}/parameters/binary_data_size`, message });
  }
  if (datatype !== spec.datatype) {
    const what = datatype === '' ? 'missing' : JSON.stringify(datatype.slice(0, 20));
    faults.push({ pointer: `${at}/datatype`, message: `is ${what}, but ${spec.name} is ${spec.datatype}` });
    return null;
  }
  const misfit = shape.some(Number.isNaN) ? 'has a size beyond 2^53' : assessShape(spec, shape);
  const count = misfit === null ? elementCount(shape) : null;
  if (count === null) {
    const message = misfit ?? `[${shape.join(',')}] has more elements than any tensor can`;
    faults.push({ pointer: `${at}/shape`, message });
    return null;
  }
  const hasContents = contents !== null && contents.length > 0;
  if (raw !== null && hasContents) {
    faults.push({ pointer: `${at}/contents`, message: 'must be empty when raw_input_contents is used' });
    return null;
  }
  if (raw === null && contents === null) {
    faults.push({ pointer: `${at}/contents`, message: 'is missing, and so is raw_input_contents' });
    return null;
  }
  if (faults.length > before) return null;
  return { name: spec.name, datatype: spec.datatype, shape, count, raw, contents, index };
}

type Asked = { readonly names: string[]; readonly form: AnswerForm | undefined };

function readOutputs(wire: WireInferRequest, target: InputTarget, faults: FieldError[]): Asked {
  const specs = target.signature.outputs;
  const names: string[] = [];
  const classes: number[] = [];
  for (let i = 0; i < wire.outputs.length && faults.length < MAX_FIELD_ERRORS; i++) {
    const { name, parameters } = wire.outputs[i]!;
    const spec = specs.find((one) => one.name === name);
    if (spec === undefined) {
      const message = unknownName(name === '' ? undefined : name, 'an output', specs);
      faults.push({ pointer: `/outputs/${i}/name`, message });
      continue;
    }
    if (names.includes(name)) faults.push({ pointer: `/outputs/${i}/name`, message: `${name} is asked for twice` });
    names.push(name);
    classes.push(parameters === null ? 0 : readClasses(parameters, `/outputs/${i}/parameters`, spec, faults));
  }
  const isRanked = classes.some((count) => count > 0);
  return { names, form: isRanked ? { binary: names.map(() => true), classes } : undefined };
}

function readClasses(parameters: Parameters, at: string, spec: TensorSpec, faults: FieldError[]): number {
  const { classes, binary } = readOutputParameters(parameters, at, faults);
  if (binary === false) faults.push({ pointer: `${at}/binary_data`, message: 'cannot be false: answers here are raw' });
  if (classes > 0 && spec.datatype === 'BYTES') {
    faults.push({
      pointer: `${at}/classification`,
      message: `${spec.name} is BYTES, and classes are ranked by numbers`,
    });
  }
  return classes;
}
