/** Operators that move elements and compute nothing. */
import type { Builder, NodeReader, Operator } from './builder.ts';
import { InvalidGraph, Uncovered } from './fault.ts';
import { axisOf, type Data, ELEM, kindOf, ROWS, rowAxis, stridesOf, type Value } from './value.ts';

const NS = 2;

const identity: Operator = (node, builder) => {
  builder.alias(node.output(0), node.input(0));
};

const reshape: Operator = (node, builder) => {
  const x = node.input(0);
  if (node.int('allowzero', 0) !== 0) throw new Uncovered('Reshape with allowzero is not covered');
  const asked = node.constantNumbers(1);
  const shape = asked.map((size, axis) => (size === 0 ? x.shape[axis]! : size));
  const free = asked.indexOf(-1);
  const known = shape.reduce((product, size, axis) => (axis === free || size === ROWS ? product : product * size), 1);
  const keepsRows = asked.some((size, axis) => size === 0 && x.shape[axis] === ROWS);
  if (x.isConstant) throw new Uncovered('Reshape of a constant is not covered');
  // The free size is what is left: the rows, unless another place has them.
  if (free >= 0) shape[free] = keepsRows ? x.width / known : known === x.width ? ROWS : Number.NaN;
  if (shape.some((size) => size !== ROWS && !(Number.isInteger(size) && size > 0)))
    throw new Uncovered('a Reshape in it mixes rows');
  builder.alias(node.output(0), x, shape);
};

const flatten: Operator = (node, builder) => {
  const x = node.input(0);
  const axis = axisOf(node.int('axis', 1), x.shape.length + 1);
  const rows = rowAxis(x);
  if (rows !== 0 || axis !== 1) throw new Uncovered('a Flatten in it mixes rows');
  builder.alias(node.output(0), x, [ROWS, x.width]);
};

/** Axes are an attribute before operator set 13, an input since. */
function axesOf(node: NodeReader, since: number): readonly number[] | null {
  if (node.opset >= since) return node.has(1) ? node.constantNumbers(1) : null;
  return node.isSet('axes') ? [...node.ints('axes')] : null;
}

const squeeze: Operator = (node, builder) => {
  const x = node.input(0);
  const axes = axesOf(node, 13)?.map((axis) => axisOf(axis, x.shape.length));
  if (axes?.some((axis) => x.shape[axis] !== 1)) throw new Uncovered('a Squeeze in it takes away more than sizes of 1');
  if (axes === undefined && rowAxis(x) < 0) throw new Uncovered('Squeeze of a constant is not covered');
  // Without axes, a call of one row would lose its rows as well.
  if (axes === undefined) throw new Uncovered('a Squeeze without axes depends on the number of rows');
  builder.alias(
    node.output(0),
    x,
    x.shape.filter((_, axis) => !axes.includes(axis)),
  );
};

const unsqueeze: Operator = (node, builder) => {
  const x = node.input(0);
  const given = axesOf(node, 13) ?? [];
  const rank = x.shape.length + given.length;
  const axes = given.map((axis) => axisOf(axis, rank));
  const rest = [...x.shape];
  builder.alias(
    node.output(0),
    x,
    Array.from({ length: rank }, (_, axis) => (axes.includes(axis) ? 1 : rest.shift()!)),
  );
};

const transpose: Operator = (node, builder) => {
  const x = node.input(0);
  const perm = node.isSet('perm') ? [...node.ints('perm')] : x.shape.map((_, axis) => x.shape.length - 1 - axis);
  const moved = perm.map((axis) => axisOf(axis, x.shape.length));
  const order = moved.filter((axis) => x.shape[axis] !== 1);
  if (order.some((axis, i) => i > 0 && axis < order[i - 1]!)) throw new Uncovered('a Transpose in it mixes rows');
  builder.alias(
    node.output(0),
    x,
    moved.map((axis) => x.shape[axis]!),
  );
};

const concat: Operator = (node, builder) => {
  const parts = Array.from({ length: node.inputCount }, (_, at) => node.input(at));
  const first = parts[0]!;
  const axis = axisOf(node.int('axis', 1), first.shape.length);
  for (const part of parts) {
    if (part.isConstant || rowAxis(part) !== rowAxis(first))
      throw new Uncovered('a Concat in it mixes rows with constants');
    if (part.elem !== first.elem) throw new InvalidGraph('a Concat gets values of different types');
    if (
      part.shape.length !== first.shape.length ||
      part.shape.some((size, at) => at !== axis && size !== first.shape[at])
    )
      throw new InvalidGraph('a Concat gets shapes that do not fit');
  }
  if (axis <= rowAxis(first)) throw new Uncovered('a Concat in it adds rows');
  const shape = [...first.shape];
  shape[axis] = parts.reduce((sum, part) => sum + part.shape[axis]!, 0);
  const y = builder.make(node.output(0), first.elem, shape);
  // Before the axis come whole blocks of each part, mostly one.
  const blocks = shape.slice(rowAxis(first) + 1, axis).reduce((product, size) => product * size, 1);
  const widths = parts.map((part) => part.width / blocks);
  const { width } = y;
  builder.step(width * NS + parts.length * 4, (rows) => {
    let offset = 0;
    const step = width / blocks;
    for (let p = 0; p < parts.length; p++) {
      const partWidth = widths[p]!;
      copyBlocks(parts[p]!.store.data, y.store.data, rows * blocks, partWidth, step, offset);
      offset += partWidth;
    }
  });
};

function copyBlocks(source: Data, target: Data, blocks: number, width: number, stride: number, offset: number): void {
  const from = source as Float32Array;
  const to = target as Float32Array;
  let at = 0;
  for (let block = 0; block < blocks; block++) {
    const start = block * stride + offset;
    for (let i = 0; i < width; i++) to[start + i] = from[at++]!;
  }
}

/** A step that takes, for each row, the elements at these places of the row. */
function pick(builder: Builder, name: string, x: Value, shape: readonly number[], places: Int32Array): void {
  const y = builder.make(name, x.elem, shape);
  const { width } = y;
  const stride = x.width;
  builder.step(width * NS, (rows) => {
    const from = x.store.data as Float32Array;
    const to = y.store.data as Float32Array;
    for (let row = 0; row < rows; row++)
      for (let i = 0; i < width; i++) to[row * width + i] = from[row * stride + places[i]!]!;
  });
}

/** Places, within a row, of the elements that have one of these positions along an axis. */
function placesAlong(x: Value, axis: number, positions: readonly number[]): Int32Array {
  const strides = stridesOf(x);
  const shape = x.shape.map((size, at) => (size === ROWS ? 1 : at === axis ? positions.length : size));
  const places = new Int32Array(shape.reduce((product, size) => product * size, 1));
  for (let i = 0; i < places.length; i++) {
    let rest = i;
    for (let at = shape.length - 1; at >= 0; at--) {
      const position = rest % shape[at]!;
      rest = Math.floor(rest / shape[at]!);
      places[i]! += (at === axis ? positions[position]! : position) * strides[at]!;
    }
  }
  return places;
}

function fixedAxis(x: Value, axis: number, op: string): number {
  const at = axisOf(axis, x.shape.length);
  if (x.shape[at] === ROWS) throw new Uncovered(`a ${op} in it picks rows`);
  return at;
}

const gather: Operator = (node, builder) => {
  const [x, indices] = [node.input(0), node.input(1)];
  if (x.isConstant) {
    lookUp(node, builder, x, indices, axisOf(node.int('axis', 0), x.shape.length));
    return;
  }
  const axis = fixedAxis(x, node.int('axis', 0), 'Gather');
  const size = x.shape[axis]!;
  const positions = node.constantNumbers(1).map((at) => axisOf(at, size));
  const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
  pick(builder, node.output(0), x, shape, placesAlong(x, axis, positions));
};

/** Elements of a constant table by an index of each row. */
function lookUp(node: NodeReader, builder: Builder, table: Value, indices: Value, axis: number): void {
  if (indices.isConstant || indices.kind !== 'int' || table.shape.slice(0, axis).some((size) => size !== 1))
    throw new Uncovered(`this form of ${node.op} is not covered`);
  const shape = [...table.shape.slice(0, axis), ...indices.shape, ...table.shape.slice(axis + 1)];
  const y = builder.make(node.output(0), table.elem, shape);
  const size = table.shape[axis]!;
  const chunk = table.width / size;
  const perRow = indices.width;
  builder.step(perRow * (chunk * NS + 4), (rows) => {
    const from = table.store.data as Float32Array;
    const to = y.store.data as Float32Array;
    for (let i = 0; i < rows * perRow; i++) {
      let at = indices.numbers[i]!;
      if (at < 0) at += size;
      if (!(at >= 0 && at < size))
        throw new Error(`an index of ${node.op} is ${indices.numbers[i]}, outside of 0 to ${size - 1}`);
      for (let j = 0; j < chunk; j++) to[i * chunk + j] = from[at * chunk + j]!;
    }
  });
}

/** Columns of the last axis; of a constant, one for each row, with all rows along the last axis: [1, rows]. */
const arrayFeatureExtractor: Operator = (node, builder) => {
  const [x, indices] = [node.input(0), node.input(1)];
  if (x.isConstant) {
    const table = builder.alias('', x, x.shape.length === 1 ? [1, x.width] : x.shape);
    lookUp(node, builder, table, builder.alias('', indices, [ROWS]), table.shape.length - 1);
    return;
  }
  const axis = fixedAxis(x, -1, node.op);
  const positions = node.constantNumbers(1);
  for (const at of positions)
    if (!(at >= 0 && at < x.shape[axis]!)) throw new InvalidGraph(`${node.op} picks column ${at}, which is not there`);
  pick(builder, node.output(0), x, [...x.shape.slice(0, -1), positions.length], placesAlong(x, axis, positions));
};

const slice: Operator = (node, builder) => {
  const x = node.input(0);
  if (x.isConstant) throw new Uncovered('Slice of a constant is not covered');
  const byInputs = node.opset >= 10;
  const starts = byInputs ? node.constantNumbers(1) : [...node.ints('starts')];
  const ends = byInputs ? node.constantNumbers(2) : [...node.ints('ends')];
  const given = byInputs
    ? node.has(3)
      ? node.constantNumbers(3)
      : null
    : node.isSet('axes')
      ? [...node.ints('axes')]
      : null;
  const steps = byInputs && node.has(4) ? node.constantNumbers(4) : starts.map(() => 1);
  const axes = (given ?? starts.map((_, axis) => axis)).map((axis) => axisOf(axis, x.shape.length));
  let value = x;
  axes.forEach((axis, i) => {
    const isLast = i === axes.length - 1;
    const name = isLast ? node.output(0) : '';
    const [start, end, step] = [starts[i]!, ends[i]!, steps[i]!];
    const size = value.shape[axis]!;
    if (size === ROWS) {
      if (start !== 0 || end < 2 ** 31 - 1 || step !== 1) throw new Uncovered('a Slice in it picks rows');
      value = builder.alias(name, value);
      return;
    }
    const positions = slicePositions(start, end, step, size);
    if (positions.length === 0) throw new Uncovered('a Slice in it leaves nothing');
    const shape = value.shape.map((dim, at) => (at === axis ? positions.length : dim));
    const places = placesAlong(value, axis, positions);
    const before = value;
    pick(builder, name, before, shape, places);
    if (!isLast) throw new Uncovered('a Slice along several axes is not covered');
  });
};

function slicePositions(start: number, end: number, step: number, size: number): number[] {
  if (step === 0) throw new InvalidGraph('a Slice has a step of 0');
  const at = (value: number): number => (value < 0 ? value + size : value);
  const positions: number[] = [];
  if (step > 0) {
    for (let i = Math.max(0, at(start)); i < Math.min(size, at(end)); i += step) positions.push(i);
  } else {
    for (let i = Math.min(size - 1, at(start)); i > Math.max(-1, end < -size ? -1 : at(end)); i += step)
      positions.push(i);
  }
  return positions;
}

/** C's conversions: towards zero, and what does not fit (NaN too) becomes the smallest number. */
const CASTS: Readonly<Record<number, (x: number) => number>> = {
  [ELEM.FLOAT]: (x) => x,
  [ELEM.DOUBLE]: (x) => x,
  [ELEM.BOOL]: (x) => (x === 0 ? 0 : 1),
  [ELEM.INT64]: (x) => (x >= -(2 ** 63) && x < 2 ** 63 ? Math.trunc(x) + 0 : -(2 ** 63)),
  [ELEM.INT32]: (x) => (x > -(2 ** 31) - 1 && x < 2 ** 31 ? Math.trunc(x) + 0 : -(2 ** 31)),
};

const cast: Operator = (node, builder) => {
  const x = node.input(0);
  const to = node.int('to', 0);
  node.int('saturate', 1);
  if (x.elem === to) {
    builder.alias(node.output(0), x);
    return;
  }
  if (x.isConstant) throw new Uncovered('Cast of a constant is not covered');
  const y = builder.make(node.output(0), to, x.shape);
  const { width } = y;
  if (to === ELEM.STRING && (x.elem === ELEM.INT64 || x.elem === ELEM.INT32)) {
    builder.step(width * 30, (rows) => {
      for (let i = 0; i < rows * width; i++) y.texts[i] = String(x.numbers[i]);
    });
    return;
  }
  const convert = CASTS[to];
  if (convert === undefined || kindOf(x.elem) === 'text')
    throw new Uncovered(`Cast from type ${x.elem} to ${to} is not covered`);
  builder.step(width * NS, (rows) => {
    const from = x.numbers;
    const into = y.numbers;
    for (let i = 0; i < rows * width; i++) into[i] = convert(from[i]!);
  });
};

export const SHAPING: Readonly<Record<string, Operator>> = {
  Identity: identity,
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Concat: concat,
  Gather: gather,
  Slice: slice,
  Cast: cast,
};

export const ML_SHAPING: Readonly<Record<string, Operator>> = {
  ArrayFeatureExtractor: arrayFeatureExtractor,
  /** Its rows of maps are given as the scores they are made of; the labels stand in the signature. */
  ZipMap: (node, builder) => {
    node.ints('classlabels_int64s');
    node.strings('classlabels_strings');
    identity(node, builder);
  },
  FeatureVectorizer: (node, builder) => featureVectorizer(node, builder),
};

const featureVectorizer: Operator = (node, builder) => {
  const widths = [...node.ints('inputdimensions')];
  const parts = Array.from({ length: node.inputCount }, (_, at) => node.input(at));
  if (parts.some((part) => part.isConstant || rowAxis(part) !== 0 || part.kind === 'text'))
    throw new Uncovered('this form of FeatureVectorizer is not covered');
  if (widths.length !== parts.length || parts.some((part, at) => part.width !== widths[at]))
    throw new Uncovered('a FeatureVectorizer in it cuts or fills its inputs');
  const y = builder.make(node.output(0), ELEM.FLOAT, [ROWS, parts.reduce((sum, part) => sum + part.width, 0)]);
  builder.step(y.width * NS, (rows) => {
    let offset = 0;
    for (const part of parts) {
      copyBlocks(part.store.data, y.store.data, rows, part.width, y.width, offset);
      offset += part.width;
    }
  });
};
