import type { Datatype, Signature, TensorSpec } from '../../../registry/signature.ts';
import { datatypeInfo } from '../../tensors/datatype.ts';
import type { NumericData, Tensor } from '../../tensors/tensor.ts';
import { type Builder, reserve } from './builder.ts';
import { BLOCK_ROWS } from './ensembles.ts';
import { InvalidGraph, Uncovered } from './fault.ts';
import { type Data, type Kind, type Numbers, newData, ROWS, type Value } from './value.ts';

/** TensorProto.DataType of what callers may send and get. */
const ELEMS: Readonly<Record<Datatype, number | null>> = {
  BOOL: 9,
  UINT8: 2,
  UINT16: 4,
  UINT32: 12,
  UINT64: null,
  INT8: 3,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  FP16: null,
  BF16: null,
  FP32: 1,
  FP64: 11,
  BYTES: 8,
};

export function elemOf({ name, datatype }: TensorSpec): number {
  const elem = ELEMS[datatype];
  if (elem === null) throw new Uncovered(`${name} is ${datatype}`);
  return elem;
}

export type Plan = {
  /** What a call costs, and each row of it. */
  readonly costPerCallUs: number;
  readonly costPerRowUs: number;
  /** What the outputs of a row take. */
  readonly outputBytesPerRow: number;
  /**
   * Takes a call in, without computing anything.
   * @throws Error with a message that is safe to show
   */
  begin(inputs: readonly Tensor[], rows: number): Job;
  /** @throws Error with a message that is safe to show */
  run(inputs: readonly Tensor[], rows: number): Tensor[];
};

/** A call that is computed bit by bit. Jobs of one plan may take turns. */
export type Job = {
  /** Complete when all rows were computed. */
  readonly results: Tensor[];
  readonly rows: number;
  /** Computes rows `from` up to `to`, at most BLOCK_ROWS. @throws Error with a message that is safe to show */
  compute(from: number, to: number): void;
};

type Input = { readonly spec: TensorSpec; readonly value: Value };
type Output = { readonly spec: TensorSpec; readonly value: Value; readonly isShared: boolean };

const CALL_NS = 300;

/**
 * What all values of a row may take while it is computed: a block of rows is kept for each, as long as the model is loaded. A few nodes can double
 * a row until it fills all memory.
 */
const MOST_ROW_BYTES = 64 * 1024;
const BYTES: Readonly<Record<Kind, number>> = { f32: 4, f64: 8, int: 8, bool: 1, text: 8 };
/** A text as an answer holds it: the characters are mostly the model's own. */
const TEXT_BYTES = 24;

const NOTHING: Readonly<Record<Kind, Data>> = {
  f32: newData('f32', 0),
  f64: newData('f64', 0),
  int: newData('int', 0),
  bool: newData('bool', 0),
  text: [],
};

export function createPlan(signature: Signature, builder: Builder): Plan {
  const inputs = signature.inputs.map((spec): Input => ({ spec, value: builder.value(spec.name) }));
  const inputStores = new Set(inputs.map(({ value }) => value.store));
  const seen = new Set<Value['store']>();
  const outputs = signature.outputs.map((spec): Output => {
    const value = builder.value(spec.name);
    if (value.isConstant) throw new Uncovered(`its output ${spec.name} is constant`);
    if (elemOf(spec) !== value.elem) throw new InvalidGraph(`its output ${spec.name} is not ${spec.datatype}`);
    // What was given, or is given twice, is copied: each answer's memory is its own.
    const isShared = inputStores.has(value.store) || seen.has(value.store);
    seen.add(value.store);
    return { spec, value, isShared };
  });
  const steps = builder.steps;
  const inner = [...builder.values.values(), ...builder.unnamed].filter((value) => !value.isConstant);
  const rowBytes = [...new Set(inner.map(({ store }) => store))].reduce(
    (sum, { width, kind }) => sum + width * BYTES[kind],
    0,
  );
  if (rowBytes > MOST_ROW_BYTES)
    throw new Uncovered(`a row takes ${rowBytes} bytes while it is computed, and ${MOST_ROW_BYTES} are the most`);
  let reserved = 0;

  const makeRoom = (rows: number): void => {
    if (rows <= reserved) return;
    reserved = rows <= 1 ? 1 : BLOCK_ROWS;
    for (const value of inner) reserve(value, reserved);
  };
  /** Stores that look at a call's own memory while it is computed. Nothing of it stays behind. */
  const borrowing = [...inputs, ...outputs]
    .filter(({ spec }) => isNative(spec.datatype))
    .map(({ value }) => value.store);
  const letGo = (): void => {
    for (let i = 0; i < borrowing.length; i++) borrowing[i]!.data = NOTHING[borrowing[i]!.kind];
  };

  const begin = (tensors: readonly Tensor[], rows: number): Job => {
    const given = inputs.map(({ spec, value }) => {
      const tensor = tensors.find((one) => one.name === spec.name);
      if (tensor === undefined) throw new Error(`the input ${spec.name} is missing`);
      if (tensor.shape[0] !== rows) throw new Error('the inputs have different numbers of rows');
      if (tensor.data.length !== rows * value.width)
        throw new Error(`the input ${spec.name} has ${tensor.data.length} elements`);
      return tensor;
    });
    const results = outputs.map(({ spec, value }) => resultOf(spec, value, rows));
    return {
      results,
      rows,
      compute(from, to) {
        const count = to - from;
        makeRoom(count);
        try {
          for (let i = 0; i < inputs.length; i++) readInput(inputs[i]!.value, given[i]!, from, count, rows);
          // Results that are computed in one go are computed where they stay.
          for (let i = 0; i < outputs.length; i++) {
            if (count === rows) lend(outputs[i]!, results[i]!);
            else reserve(outputs[i]!.value, count);
          }
          for (let i = 0; i < steps.length; i++) steps[i]!(count);
          for (let i = 0; i < outputs.length; i++) writeOutput(outputs[i]!, results[i]!, from, count, rows);
        } finally {
          letGo();
        }
      },
    };
  };

  return {
    costPerCallUs: CALL_NS / 1000,
    costPerRowUs: builder.costNs() / 1000,
    outputBytesPerRow: signature.outputs.reduce(
      (sum, { name, datatype }) => sum + builder.value(name).width * bytesOf(datatype),
      0,
    ),
    begin,
    run(tensors, rows) {
      const job = begin(tensors, rows);
      for (let from = 0; from < rows; from += BLOCK_ROWS) job.compute(from, Math.min(rows, from + BLOCK_ROWS));
      return job.results;
    },
  };
}

function resultOf(spec: TensorSpec, value: Value, rows: number): Tensor {
  const shape = value.shape.map((size) => (size === ROWS ? rows : size));
  const length = rows * value.width;
  return { name: spec.name, datatype: spec.datatype, shape, data: emptyData(spec.datatype, length) };
}

const ARRAYS: Readonly<Partial<Record<Datatype, new (length: number) => NumericData>>> = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP32: Float32Array,
  FP64: Float64Array,
};

function bytesOf(datatype: Datatype): number {
  return datatype === 'BYTES' ? TEXT_BYTES : datatypeInfo(datatype).bytes;
}

function emptyData(datatype: Datatype, length: number): Tensor['data'] {
  if (datatype === 'BYTES') return new Array<string>(length).fill('');
  return new ARRAYS[datatype]!(length);
}

/** Whether values of this type are computed in the very arrays that callers get. */
function isNative(datatype: Datatype): boolean {
  return datatype === 'FP32' || datatype === 'FP64' || datatype === 'BOOL' || datatype === 'BYTES';
}

/** The rows of a tensor, where the steps look for them: the tensor's own memory where that will do. */
function readInput(
  { store, width }: Value,
  { name, datatype, data }: Tensor,
  from: number,
  count: number,
  rows: number,
): void {
  const isWhole = count === rows;
  if (datatype === 'FP32' || datatype === 'FP64') {
    const numbers = data as Float32Array;
    store.data = isWhole ? numbers : numbers.subarray(from * width, (from + count) * width);
    return;
  }
  if (datatype === 'BYTES') {
    const texts = data as string[];
    store.data = isWhole ? texts : texts.slice(from * width, (from + count) * width);
    return;
  }
  const length = count * width;
  if (store.data.length < length) store.data = newData(store.kind, length);
  const target = store.data as Numbers;
  const start = from * width;
  if (datatype === 'INT64') {
    const whole = data as BigInt64Array;
    for (let i = 0; i < length; i++) {
      const value = Number(whole[start + i]!);
      if (!Number.isSafeInteger(value))
        throw new Error(
          `${name} holds ${whole[start + i]}, which the engine tabular would round; the engine onnxruntime takes it`,
        );
      target[i] = value;
    }
    return;
  }
  const numbers = data as Uint8Array;
  for (let i = 0; i < length; i++) target[i] = numbers[start + i]!;
  if (datatype === 'BOOL') {
    for (let i = 0; i < length; i++)
      if (target[i]! > 1) throw new Error(`${name} holds ${target[i]}, which is neither true (1) nor false (0)`);
  }
}

function lend({ spec, value, isShared }: Output, result: Tensor): void {
  if (!isShared && isNative(spec.datatype)) value.store.data = result.data as Data;
}

function writeOutput(
  { spec, value, isShared }: Output,
  result: Tensor,
  from: number,
  count: number,
  rows: number,
): void {
  if (!isShared && isNative(spec.datatype) && count === rows && value.store.data === result.data) return;
  const { width } = value;
  const source = value.store.data as Float32Array;
  const start = from * width;
  if (spec.datatype === 'INT64') {
    const target = result.data as BigInt64Array;
    for (let i = 0; i < count * width; i++) target[start + i] = BigInt(source[i]!);
    return;
  }
  const target = result.data as Float32Array;
  for (let i = 0; i < count * width; i++) target[start + i] = source[i]!;
}
