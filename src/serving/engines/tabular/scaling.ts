/** Operators of ai.onnx.ml that prepare numeric columns. */
import { needKind, type Operator } from './builder.ts';
import { InvalidGraph, Uncovered } from './fault.ts';
import { ELEM, rowAxis, type Value } from './value.ts';

const NS = 3;

/** A parameter for each column, or one for all. */
function perColumn(values: Float64Array, x: Value, name: string): Float64Array {
  const columns = x.shape[x.shape.length - 1]!;
  if (values.length === 1) return new Float64Array(x.width).fill(values[0]!);
  if (values.length !== columns || columns !== x.width)
    throw new InvalidGraph(`${name} has ${values.length} values for ${columns} columns`);
  return values;
}

function rows(op: string, x: Value): void {
  if (x.isConstant || rowAxis(x) !== 0) throw new Uncovered(`this form of ${op} is not covered`);
}

const scaler: Operator = (node, builder) => {
  const x = node.input(0);
  needKind(node, x, 'f32', 'f64', 'int');
  rows(node.op, x);
  const offset = perColumn(node.floats('offset'), x, 'the offset of a Scaler');
  const scale = perColumn(node.floats('scale'), x, 'the scale of a Scaler');
  const y = builder.make(node.output(0), ELEM.FLOAT, x.shape);
  const { width } = y;
  builder.step(width * NS, (count) => {
    const from = x.numbers;
    const to = y.numbers;
    let at = 0;
    for (let row = 0; row < count; row++)
      for (let i = 0; i < width; i++, at++) to[at] = Math.fround(from[at]! - offset[i]!) * scale[i]!;
  });
};

const imputer: Operator = (node, builder) => {
  const x = node.input(0);
  needKind(node, x, 'f32', 'f64', 'int');
  rows(node.op, x);
  const whole = x.kind === 'int';
  const values = perColumn(
    node[whole ? 'ints' : 'floats'](whole ? 'imputed_value_int64s' : 'imputed_value_floats'),
    x,
    'the values of an Imputer',
  );
  const replaced = whole ? node.int('replaced_value_int64', 0) : node.float('replaced_value_float', 0);
  if (x.kind === 'f64') throw new Uncovered('Imputer of FP64 is not covered');
  const y = builder.make(node.output(0), x.elem, x.shape);
  const { width } = y;
  const isMissing = Number.isNaN(replaced)
    ? (value: number) => Number.isNaN(value)
    : (value: number) => value === replaced;
  builder.step(width * NS, (count) => {
    const from = x.numbers;
    const to = y.numbers;
    let at = 0;
    for (let row = 0; row < count; row++)
      for (let i = 0; i < width; i++, at++) to[at] = isMissing(from[at]!) ? values[i]! : from[at]!;
  });
};

const normalizer: Operator = (node, builder) => {
  const x = node.input(0);
  needKind(node, x, 'f32', 'f64', 'int');
  rows(node.op, x);
  const norm = node.text('norm', 'MAX');
  if (norm !== 'MAX' && norm !== 'L1' && norm !== 'L2') throw new InvalidGraph(`a Normalizer has the norm ${norm}`);
  const y = builder.make(node.output(0), ELEM.FLOAT, x.shape);
  const { width } = y;
  builder.step(width * NS * 2, (count) => {
    const from = x.numbers;
    const to = y.numbers;
    for (let row = 0; row < count; row++) {
      const start = row * width;
      let size = norm === 'MAX' ? Number.NEGATIVE_INFINITY : 0;
      for (let i = start; i < start + width; i++) {
        const value = from[i]!;
        if (norm === 'L1') size = Math.fround(size + Math.abs(value));
        else if (norm === 'L2') size = Math.fround(size + Math.fround(value * value));
        else if (value > size) size = value;
      }
      for (let i = start; i < start + width; i++) {
        const value = from[i]!;
        if (size === 0) to[i] = value;
        else if (norm === 'L2') to[i] = Math.sign(value) * Math.sqrt(Math.fround(Math.fround(value * value) / size));
        else to[i] = value / size;
      }
    }
  });
};

const binarizer: Operator = (node, builder) => {
  const x = node.input(0);
  needKind(node, x, 'f32', 'f64');
  rows(node.op, x);
  const threshold = node.float('threshold', 0);
  const y = builder.make(node.output(0), x.elem, x.shape);
  builder.step(y.width * NS, (count) => {
    const from = x.numbers;
    const to = y.numbers;
    for (let i = 0; i < count * y.width; i++) {
      if (Number.isNaN(from[i])) throw new Error('a Binarizer in the model takes no NaN');
      to[i] = Number(from[i]! > threshold);
    }
  });
};

export const SCALING: Readonly<Record<string, Operator>> = {
  Scaler: scaler,
  Imputer: imputer,
  Normalizer: normalizer,
  Binarizer: binarizer,
};
