/** What flows between the steps of a plan: for each row a fixed number of elements, one row after the other. */
import { InvalidGraph, Uncovered } from './fault.ts';

/** In a shape: as many as there are rows in the call. */
export const ROWS = -1;

/** TensorProto.DataType numbers of the types that tables use. */
export const ELEM = { FLOAT: 1, INT32: 6, INT64: 7, STRING: 8, BOOL: 9, DOUBLE: 11 } as const;

/**
 * How elements are kept: whole numbers as doubles, exact up to 2^53 and for what comes of FP32; truth as bytes.
 */
export type Kind = 'f32' | 'f64' | 'int' | 'bool' | 'text';

export type Numbers = Float32Array | Float64Array | Uint8Array;
export type Data = Numbers | string[];

const KINDS: Readonly<Record<number, Kind>> = {
  1: 'f32',
  2: 'int',
  3: 'int',
  4: 'int',
  5: 'int',
  6: 'int',
  7: 'int',
  8: 'text',
  9: 'bool',
  11: 'f64',
  12: 'int',
};

export function kindOf(elem: number): Kind {
  const kind = KINDS[elem];
  if (kind === undefined) throw new Uncovered(`it computes with tensors of type ${elem}`);
  return kind;
}

export function newData(kind: Kind, length: number): Data {
  switch (kind) {
    case 'f32':
      return new Float32Array(length);
    case 'f64':
    case 'int':
      return new Float64Array(length);
    case 'bool':
      return new Uint8Array(length);
    case 'text':
      return new Array<string>(length).fill('');
  }
}

/** Memory that several values may look at: a reshape changes no element. */
export type Store = { data: Data; readonly kind: Kind; readonly width: number };

export class Value {
  readonly elem: number;
  readonly kind: Kind;
  readonly shape: readonly number[];
  /** Elements of one row; of a constant, all there are. */
  readonly width: number;
  readonly isConstant: boolean;
  readonly store: Store;

  constructor(elem: number, shape: readonly number[], isConstant: boolean, store?: Store) {
    this.elem = elem;
    this.kind = kindOf(elem);
    this.shape = shape;
    this.isConstant = isConstant;
    this.width = isConstant ? sizeOf(shape) : rowWidthOf(shape);
    if (store !== undefined && store.width !== this.width)
      throw new InvalidGraph('a reshape changes the number of elements');
    this.store = store ?? { data: newData(this.kind, isConstant ? this.width : 0), kind: this.kind, width: this.width };
  }

  get numbers(): Numbers {
    return this.store.data as Numbers;
  }

  get texts(): string[] {
    return this.store.data as string[];
  }
}

const MOST_ELEMENTS = 2 ** 26;

function sizeOf(shape: readonly number[]): number {
  const size = shape.reduce((product, dim) => product * dim, 1);
  if (size > MOST_ELEMENTS) throw new Uncovered('it has tensors of more than 67 million elements');
  return size;
}

/** @throws Uncovered when rows do not lie one after the other, or there is not one row for each row of the inputs */
function rowWidthOf(shape: readonly number[]): number {
  const at = shape.indexOf(ROWS);
  if (at < 0 || shape.indexOf(ROWS, at + 1) >= 0 || shape.slice(0, at).some((dim) => dim !== 1))
    throw new Uncovered('a value in it does not have one row for each row of the inputs');
  return sizeOf(shape.slice(at + 1));
}

/** The axis of the rows. */
export function rowAxis(value: Value): number {
  return value.isConstant ? -1 : value.shape.indexOf(ROWS);
}

/** An axis counted from the front. */
export function axisOf(axis: number, rank: number): number {
  const front = axis < 0 ? axis + rank : axis;
  if (!(front >= 0 && front < rank))
    throw new InvalidGraph(`it names the axis ${axis} of a value with ${rank} dimensions`);
  return front;
}

/** Steps from one element to the next along each axis, within a row (or a constant); 0 along the rows. */
export function stridesOf(value: Value): number[] {
  const strides = new Array<number>(value.shape.length).fill(0);
  let stride = 1;
  for (let axis = value.shape.length - 1; axis >= 0; axis--) {
    if (value.shape[axis] === ROWS) continue;
    strides[axis] = stride;
    stride *= value.shape[axis]!;
  }
  return strides;
}
