import type { Datatype, Signature, TensorSpec } from './signature.ts';

/** How calls of different sizes may share a run: the shorter ones are filled up at the end of this dimension. */
export type InputPadding = {
  /** The dimension, 1 being the one behind the rows. */
  readonly axis: number;
  /** What is filled in: a number, or text for BYTES. */
  readonly value: number | string;
};

/** As slipway.yaml says it. */
export type GivenPadding = { readonly axis: number; readonly value?: number | string };

type Fault = { readonly key: 'axis' | 'value'; readonly message: string };

const INTEGERS: Partial<Record<Datatype, readonly [number, number]>> = {
  BOOL: [0, 1],
  UINT8: [0, 255],
  UINT16: [0, 65_535],
  UINT32: [0, 2 ** 32 - 1],
  UINT64: [0, Number.MAX_SAFE_INTEGER],
  INT8: [-128, 127],
  INT16: [-32_768, 32_767],
  INT32: [-(2 ** 31), 2 ** 31 - 1],
  INT64: [-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
};
const FLOATS: Partial<Record<Datatype, number>> = { FP16: 65_504, BF16: 3.38e38, FP32: 3.4e38, FP64: Number.MAX_VALUE };

/** The padding with its defaults (0, or empty text), or why it does not fit the input. */
export function resolvePadding(given: GivenPadding, tensor: TensorSpec): InputPadding | readonly Fault[] {
  const { axis } = given;
  const faults: Fault[] = [];
  const fault = (key: Fault['key'], message: string): void => void faults.push({ key, message });
  if (axis === 0) fault('axis', 'the first dimension holds the rows, which are never padded');
  else if (axis >= tensor.shape.length) fault('axis', `the input has ${tensor.shape.length} dimensions`);
  else if (tensor.shape[axis] !== -1) fault('axis', `this dimension is always ${tensor.shape[axis]}`);
  else if (tensor.shape[0] !== -1) fault('axis', 'calls share no run: the first dimension is not free');
  else if ((tensor.symbols?.[axis] ?? null) === null)
    fault(
      'axis',
      'the graph has no name for this dimension, so it cannot be told which outputs have it; export with dynamic axes that have names',
    );
  const value = given.value ?? (tensor.datatype === 'BYTES' ? '' : 0);
  const wrong = assessValue(tensor.datatype, value);
  if (wrong !== null) fault('value', wrong);
  return faults.length > 0 ? faults : { axis, value };
}

function assessValue(datatype: Datatype, value: number | string): string | null {
  if (datatype === 'BYTES') return typeof value === 'string' ? null : 'must be text: the input is BYTES';
  if (typeof value !== 'number') return `must be a number: the input is ${datatype}`;
  const range = INTEGERS[datatype];
  if (range === undefined)
    return Math.abs(value) <= FLOATS[datatype]! ? null : `must be a number that ${datatype} holds`;
  const isIn = Number.isInteger(value) && value >= range[0] && value <= range[1];
  return isIn ? null : `must be an integer from ${range[0]} to ${range[1]}: the input is ${datatype}`;
}

/** What forbids the padding of the inputs taken together: each place of a padded dimension must be padded. By input name. */
export function paddingFaults(inputs: Signature['inputs']): { readonly input: string; readonly message: string }[] {
  const padded = new Map<string, string>();
  for (const { name, pad, symbols } of inputs) if (pad !== undefined) padded.set(symbols![pad.axis]!, name);
  const faults: { input: string; message: string }[] = [];
  for (const { name, pad, symbols } of inputs) {
    for (const [axis, symbol] of (symbols ?? []).entries()) {
      if (symbol === null || !padded.has(symbol) || pad?.axis === axis) continue;
      const message = `dimension ${axis} of ${name} is ${symbol} too; ${pad === undefined && axis > 0 ? `give ${name} a pad as well` : 'this cannot be padded'}`;
      faults.push({ input: padded.get(symbol)!, message });
    }
  }
  return faults;
}

/** For people: `dimension 1 with 0`. */
export function paddingText({ axis, value }: InputPadding): string {
  return `dimension ${axis} with ${JSON.stringify(value)}`;
}
