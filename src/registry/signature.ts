/**
 * A signature says what a model takes and gives. Types here are shared by the registry, the data plane and the SDK's
 * wire form; this file holds no I/O.
 */
import { SlipwayError } from '../base/errors.ts';
import { decoderText, type InputDecoder } from './input-decoder.ts';
import { type InputPadding, paddingText } from './input-padding.ts';

/** Data types by their Open Inference Protocol names. */
export const DATATYPES = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'BF16',
  'FP32',
  'FP64',
  'BYTES',
] as const;

export type Datatype = (typeof DATATYPES)[number];

export type TensorSpec = {
  readonly name: string;
  readonly datatype: Datatype;
  /** Sizes of the dimensions; -1 is free. An empty shape is a scalar. */
  readonly shape: readonly number[];
  /** Symbolic names of the free dimensions, null where there is none. Absent when no dimension has one. */
  readonly symbols?: readonly (string | null)[];
  /** An input that may be left out (it has a default in the graph). */
  readonly optional?: boolean;
  /** Inputs of shape [-1, F]: the F column names, in order. */
  readonly features?: readonly string[];
  /** Inputs that may come as a file: how it becomes their tensor. */
  readonly decoder?: InputDecoder;
  /** Inputs with a free dimension behind the rows: how calls of different sizes may share a run. */
  readonly pad?: InputPadding;
  /** Outputs of shape [-1, C]: the C class names, in order. The plain form then answers an object by class. */
  readonly labels?: readonly string[];
};

export type Signature = {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
};

/**
 * Whether one record of the plain form is one row of every tensor: true when the first dimension of all of them is free, or fixed to 1 in
 * front of others. Otherwise one record is the whole request.
 */
export function isRowWise(specs: readonly TensorSpec[]): boolean {
  return specs.every((spec) => spec.shape[0] === -1 || (spec.shape[0] === 1 && spec.shape.length > 1));
}

/** One difference between two signatures, as the API shows it. */
export type SignatureChange = {
  /** Where, e.g. `inputs/age/datatype`. */
  readonly path: string;
  readonly change: 'added' | 'removed' | 'changed';
  readonly from: string | null;
  readonly to: string | null;
  /** Whether a caller of the old signature would fail or be answered differently. */
  readonly breaking: boolean;
  readonly reason: string;
};

export type SignatureDiff = { readonly breaking: boolean; readonly changes: readonly SignatureChange[] };

/**
 * What changes for callers who move from one signature to another. Breaking:
 * - inputs: one is removed or renamed, a required one is new, an optional one becomes required, another datatype, another number of
 *   dimensions or a size that takes less than before, feature names removed, renamed or in another order, files of a kind no longer taken;
 * - outputs: one is removed or renamed, another datatype, another number of dimensions, a size that is another one or no longer
 *   fixed, class labels added, removed, renamed or in another order (the plain form answers by label).
 *
 * Not breaking: a new optional input, an input that becomes optional or takes more sizes, feature names where there were none, a new output,
 * how calls are padded, a size that becomes fixed in an output, other names of free dimensions, another order of inputs or outputs (they go by name).
 */
export function diffSignatures(from: Signature, to: Signature): SignatureDiff {
  const changes = [
    ...diffTensors('inputs', from.inputs, to.inputs, diffInput),
    ...diffTensors('outputs', from.outputs, to.outputs, diffOutput),
  ];
  return { breaking: changes.some((change) => change.breaking), changes };
}

/**
 * Callers that pin no version move with an endpoint; what would break them needs a word of consent.
 * @param names as the message says them
 * @throws SlipwayError `signature_breaking` with the difference in `extra.diff`
 */
export function assertCompatible(
  from: Signature,
  to: Signature,
  names: { readonly version: string; readonly endpoint: string },
): void {
  const diff = diffSignatures(from, to);
  if (!diff.breaking) return;
  const reasons = diff.changes.filter((one) => one.breaking).map((one) => `${one.path}: ${one.reason}`);
  throw new SlipwayError(
    'signature_breaking',
    `${names.version} would break callers of ${names.endpoint}: ${reasons.join('; ')}`,
    {
      hint: 'Repeat it with --allow-breaking (over REST "allowBreaking": true) if every caller is ready, or serve it under an endpoint of its own.',
      extra: { diff },
    },
  );
}

function diffTensors(
  side: 'inputs' | 'outputs',
  from: readonly TensorSpec[],
  to: readonly TensorSpec[],
  diffPair: (path: string, from: TensorSpec, to: TensorSpec) => SignatureChange[],
): SignatureChange[] {
  const before = new Map(from.map((tensor) => [tensor.name, tensor]));
  const after = new Map(to.map((tensor) => [tensor.name, tensor]));
  const added = to.filter((tensor) => !before.has(tensor.name));
  const changes: SignatureChange[] = [];
  for (const tensor of from) {
    const path = `${side}/${tensor.name}`;
    const now = after.get(tensor.name);
    if (now) {
      changes.push(...diffPair(path, tensor, now));
      continue;
    }
    const twin = added.find((other) => typeText(other) === typeText(tensor));
    const renamed = twin ? `; ${twin.name} has the same type, so it may be its new name` : '';
    const reason = side === 'inputs' ? 'calls that send it are refused' : 'callers that read it find nothing';
    changes.push({
      path,
      change: 'removed',
      from: typeText(tensor),
      to: null,
      breaking: true,
      reason: reason + renamed,
    });
  }
  for (const tensor of added) {
    const required = side === 'inputs' && tensor.optional !== true;
    const reason = required
      ? 'a new required input: calls that do not send it are refused'
      : side === 'inputs'
        ? 'a new optional input'
        : 'a new output';
    changes.push({
      path: `${side}/${tensor.name}`,
      change: 'added',
      from: null,
      to: typeText(tensor),
      breaking: required,
      reason,
    });
  }
  return changes;
}

function diffInput(path: string, from: TensorSpec, to: TensorSpec): SignatureChange[] {
  const changes = [...diffDatatype(path, from, to), ...diffShape(path, from, to, 'inputs')];
  const [wasOptional, isOptional] = [from.optional === true, to.optional === true];
  if (wasOptional !== isOptional) {
    const reason = isOptional ? 'it may be left out now' : 'it is required now: calls that leave it out are refused';
    changes.push(changed(`${path}/optional`, String(wasOptional), String(isOptional), !isOptional, reason));
  }
  return [
    ...changes,
    ...diffDecoder(`${path}/decoder`, from.decoder, to.decoder),
    ...diffPadding(`${path}/pad`, from.pad, to.pad),
    ...diffNames(`${path}/features`, from.features, to.features, false),
  ];
}

function diffOutput(path: string, from: TensorSpec, to: TensorSpec): SignatureChange[] {
  return [
    ...diffDatatype(path, from, to),
    ...diffShape(path, from, to, 'outputs'),
    ...diffNames(`${path}/labels`, from.labels, to.labels, true),
  ];
}

/** Callers send files; how they are prepared for the model is not theirs to know, as long as they are taken. */
function diffDecoder(path: string, from: InputDecoder | undefined, to: InputDecoder | undefined): SignatureChange[] {
  const [a, b] = [from ? decoderText(from) : null, to ? decoderText(to) : null];
  if (a === b) return [];
  if (from === undefined) {
    return [{ path, change: 'added', from: a, to: b, breaking: false, reason: 'it may be sent as a file now' }];
  }
  if (to === undefined) {
    return [{ path, change: 'removed', from: a, to: b, breaking: true, reason: 'calls that send a file are refused' }];
  }
  const otherKind = from.kind !== to.kind;
  const reason = otherKind ? 'another kind of file' : 'the same files are prepared in another way';
  return [changed(path, a!, b!, otherKind, reason)];
}

/** It decides how runs are shared, and never what a caller is answered. */
function diffPadding(path: string, from: InputPadding | undefined, to: InputPadding | undefined): SignatureChange[] {
  const [a, b] = [from ? paddingText(from) : null, to ? paddingText(to) : null];
  if (a === b) return [];
  const change = from === undefined ? 'added' : to === undefined ? 'removed' : 'changed';
  const reason =
    to === undefined
      ? 'calls of different sizes share no run any more'
      : from === undefined
        ? 'calls of different sizes may share a run now'
        : 'calls of different sizes are padded in another way';
  return [{ path, change, from: a, to: b, breaking: false, reason }];
}

function diffDatatype(path: string, from: TensorSpec, to: TensorSpec): SignatureChange[] {
  if (from.datatype === to.datatype) return [];
  return [changed(`${path}/datatype`, from.datatype, to.datatype, true, 'another datatype')];
}

function diffShape(path: string, from: TensorSpec, to: TensorSpec, side: 'inputs' | 'outputs'): SignatureChange[] {
  const [a, b] = [shapeText(from.shape), shapeText(to.shape)];
  if (a === b) return [];
  if (from.shape.length !== to.shape.length) {
    return [changed(`${path}/shape`, a, b, true, 'another number of dimensions')];
  }
  // An input may get wider, an output narrower.
  const [promised, kept] = side === 'inputs' ? [from.shape, to.shape] : [to.shape, from.shape];
  const breaking = promised.some((size, at) => kept[at] !== -1 && kept[at] !== size);
  const reason =
    side === 'inputs'
      ? breaking
        ? 'it takes sizes that it took before no longer'
        : 'it takes more sizes than before'
      : breaking
        ? 'callers may rely on the size that was promised'
        : 'its size is fixed now';
  return [changed(`${path}/shape`, a, b, breaking, reason)];
}

function diffNames(
  path: string,
  from: readonly string[] | undefined,
  to: readonly string[] | undefined,
  addingBreaks: boolean,
): SignatureChange[] {
  const [a, b] = [from ? from.join(', ') : null, to ? to.join(', ') : null];
  if (from && to) {
    if (from.length === to.length && from.every((name, at) => to[at] === name)) return [];
    const same = from.length === to.length && [...from].sort().join('\n') === [...to].sort().join('\n');
    return [changed(path, a!, b!, true, same ? 'the same names in another order' : 'other names')];
  }
  if (from)
    return [{ path, change: 'removed', from: a, to: null, breaking: true, reason: 'callers may use the names' }];
  if (!to) return [];
  const reason = addingBreaks ? 'the plain form answers by label now, not by position' : 'columns have names now';
  return [{ path, change: 'added', from: null, to: b, breaking: addingBreaks, reason }];
}

function changed(path: string, from: string, to: string, breaking: boolean, reason: string): SignatureChange {
  return { path, change: 'changed', from, to, breaking, reason };
}

function shapeText(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

function typeText(tensor: TensorSpec): string {
  return `${tensor.datatype}${shapeText(tensor.shape)}`;
}
