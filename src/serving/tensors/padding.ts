import type { Signature, TensorSpec } from '../../registry/signature.ts';
import { datatypeInfo } from './datatype.ts';
import { bfloat16BitsOf, float16BitsOf } from './half.ts';
import { sliceRows } from './rows.ts';
import { elementCount } from './shape.ts';
import type { NumericData, Tensor } from './tensor.ts';

/**
 * A call is padded to at most this many times its own size. The bound is on each call, not on the run: so nobody computes (or waits for)
 * more than twice what was asked for because of others, and neither does the run as a whole. Below twice the work sharing gains wherever
 * a call costs about as much as its elements; beyond, it would lose where batching gains little (large networks on a CPU).
 */
export const MOST_PADDING = 2;

/** One padded dimension: where in a tensor, and which of the signature's padded sizes it is. */
type PaddedAxis = { readonly axis: number; readonly slot: number };
type PaddedInput = PaddedAxis & { readonly fill: number | bigint | string };

/** The padding of a signature: its padded sizes have slots, one by symbolic name. */
export type PaddingPlan = {
  readonly slots: number;
  readonly inputs: ReadonlyMap<string, PaddedInput>;
  /** In the order of the signature. */
  readonly outputs: readonly (readonly PaddedAxis[])[];
};

/** Null where the signature declares none. */
export function paddingPlan({ inputs, outputs }: Signature): PaddingPlan | null {
  const slots = new Map<string, number>();
  const padded = new Map<string, PaddedInput>();
  for (const spec of inputs) {
    if (spec.pad === undefined) continue;
    const symbol = spec.symbols![spec.pad.axis]!;
    const slot = slots.get(symbol) ?? slots.size;
    slots.set(symbol, slot);
    padded.set(spec.name, { axis: spec.pad.axis, slot, fill: fillOf(spec, spec.pad.value) });
  }
  if (padded.size === 0) return null;
  const cuts = ({ symbols }: TensorSpec): PaddedAxis[] =>
    (symbols ?? []).flatMap((symbol, axis) => {
      const slot = symbol === null || axis === 0 ? undefined : slots.get(symbol);
      return slot === undefined ? [] : [{ axis, slot }];
    });
  return { slots: slots.size, inputs: padded, outputs: outputs.map(cuts) };
}

/** The value as it lies in the array of the datatype. */
function fillOf({ datatype }: TensorSpec, value: number | string): number | bigint | string {
  if (typeof value === 'string') return value;
  if (datatype === 'INT64' || datatype === 'UINT64') return BigInt(value);
  if (datatype === 'FP16') return float16BitsOf(value);
  return datatype === 'BF16' ? bfloat16BitsOf(value) : value;
}

/**
 * A call's padded sizes by slot; 0 where none of its inputs has the dimension.
 * @returns null when they contradict each other or one is empty: such a call is not padded, so that it meets what it would meet alone
 */
export function paddedSizes(plan: PaddingPlan, inputs: readonly Tensor[]): number[] | null {
  const sizes = new Array<number>(plan.slots).fill(0);
  for (const { name, shape } of inputs) {
    const padded = plan.inputs.get(name);
    if (padded === undefined) continue;
    const size = shape[padded.axis] ?? 0;
    const known = sizes[padded.slot]!;
    if (size === 0 || (known !== 0 && known !== size)) return null;
    sizes[padded.slot] = size;
  }
  return sizes;
}

/** The sizes in one run, from the least to the most; it widens with each call that it admits. */
export class SizeSpan {
  readonly #plan: PaddingPlan;
  readonly #least: number[] | null;
  readonly #most: number[];

  constructor(plan: PaddingPlan, first: readonly Tensor[]) {
    this.#plan = plan;
    this.#least = paddedSizes(plan, first);
    this.#most = this.#least?.slice() ?? [];
  }

  /** Whether a call can join without anybody in the run being padded too far. */
  admits(inputs: readonly Tensor[]): boolean {
    const least = this.#least;
    const sizes = least === null ? null : paddedSizes(this.#plan, inputs);
    if (least === null || sizes === null) return false;
    const most = this.#most;
    for (let i = 0; i < sizes.length; i++) {
      if (Math.max(most[i]!, sizes[i]!) > MOST_PADDING * Math.min(least[i]!, sizes[i]!)) return false;
    }
    for (let i = 0; i < sizes.length; i++) {
      least[i] = Math.min(least[i]!, sizes[i]!);
      most[i] = Math.max(most[i]!, sizes[i]!);
    }
    return true;
  }
}

/** The longest of these sizes by slot, null when they are all the same: then nothing is to be padded. */
export function longestSizes(all: readonly (readonly number[])[]): number[] | null {
  const longest = all[0]!.slice();
  let differ = false;
  for (const sizes of all) {
    for (let i = 0; i < longest.length; i++) {
      if (sizes[i] === longest[i]) continue;
      differ = true;
      longest[i] = Math.max(longest[i]!, sizes[i]!);
    }
  }
  return differ ? longest : null;
}

/** Elements that `padRows` fills. */
export function paddedElements(parts: readonly Tensor[], axis: number, size: number): number {
  let elements = 0;
  for (const { data, shape } of parts) elements += (data.length / shape[axis]!) * size;
  return elements;
}

/**
 * Joins tensors along the first dimension that differ in another one, which has a size in each: there they are filled up at the end.
 * @param into elements to use when it is large enough; its type must be the datatype's
 */
export function padRows(
  parts: readonly Tensor[],
  { axis, fill }: Pick<PaddedInput, 'axis' | 'fill'>,
  size: number,
  into?: NumericData,
): Tensor {
  const first = parts[0]!;
  const shape = first.shape.slice();
  shape[0] = parts.reduce((rows, part) => rows + part.shape[0]!, 0);
  shape[axis] = size;
  const elements = paddedElements(parts, axis, size);
  const { array } = datatypeInfo(first.datatype);
  const kept = into !== undefined && into.length >= elements ? into : null;
  const data = array === null ? new Array<string>(elements) : (kept ?? new array(elements)).subarray(0, elements);
  const inner = elementCount(shape.slice(axis + 1))!;
  let at = 0;
  for (const part of parts) {
    const own = part.shape[axis]! * inner;
    for (let from = 0; from < part.data.length; from += own) {
      copyElements(data, at, part.data, from, own);
      (data as unknown[]).fill(fill, at + own, at + size * inner);
      at += size * inner;
    }
  }
  return { name: first.name, datatype: first.datatype, shape, data };
}

/** A row with other sizes in its padded dimensions: cut, or made longer by repeating its elements. */
export function resizeRow(
  plan: PaddingPlan,
  row: readonly Tensor[],
  sizeOf: (size: number, slot: number) => number,
): Tensor[] {
  return row.map((tensor) => {
    const padded = plan.inputs.get(tensor.name);
    if (padded === undefined) return tensor;
    const { axis, slot } = padded;
    const own = tensor.shape[axis]!;
    const size = sizeOf(own, slot);
    const shape = tensor.shape.with(axis, size);
    const inner = elementCount(shape.slice(axis + 1))!;
    const elements = elementCount(shape)!;
    const { array } = datatypeInfo(tensor.datatype);
    const data = array === null ? new Array<string>(elements) : new array(elements);
    for (let at = 0; at < elements; at += inner) {
      const [outer, place] = [Math.floor(at / inner / size), (at / inner) % size];
      copyElements(data, at, tensor.data, (outer * own + (place % own)) * inner, inner);
    }
    return { name: tensor.name, datatype: tensor.datatype, shape, data };
  });
}

/** Whether an output of a padded run has the padded sizes where it should. */
export function hasSizes({ shape }: Tensor, cuts: readonly PaddedAxis[], longest: readonly number[]): boolean {
  return cuts.every(({ axis, slot }) => longest[slot] === 0 || shape[axis] === longest[slot]);
}

/** Rows `from` up to, but without, `to` of an output, cut back to the sizes that their caller sent. */
export function cutRows(
  tensor: Tensor,
  from: number,
  to: number,
  cuts: readonly PaddedAxis[],
  sizes: readonly number[],
): Tensor {
  const rows = sliceRows(tensor, from, to);
  const shape = rows.shape.slice();
  for (const { axis, slot } of cuts) if (sizes[slot] !== 0) shape[axis] = sizes[slot]!;
  const axis = shape.findLastIndex((size, i) => size !== rows.shape[i]);
  if (axis < 0) return rows;
  const inner = elementCount(shape.slice(axis + 1))!;
  const run = shape[axis]! * inner;
  const elements = elementCount(shape)!;
  const { array } = datatypeInfo(tensor.datatype);
  const data = array === null ? new Array<string>(elements) : new array(elements);
  /** Place in the dimensions before the last one that is cut. */
  const place = new Array<number>(axis).fill(0);
  for (let at = 0; at < elements; at += run) {
    let source = 0;
    for (let i = 0; i < axis; i++) source = source * rows.shape[i]! + place[i]!;
    copyElements(data, at, rows.data, source * rows.shape[axis]! * inner, run);
    for (let i = axis - 1; i >= 0 && ++place[i]! === shape[i]; i--) place[i] = 0;
  }
  return { name: tensor.name, datatype: tensor.datatype, shape, data };
}

/** Elements from one array into another of the same type. */
function copyElements(target: Tensor['data'], at: number, source: Tensor['data'], from: number, count: number): void {
  if (Array.isArray(source)) {
    for (let i = 0; i < count; i++) (target as string[])[at + i] = source[from + i]!;
  } else {
    (target as Float32Array).set((source as Float32Array).subarray(from, from + count), at);
  }
}
