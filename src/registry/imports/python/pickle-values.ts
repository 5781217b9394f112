/** What a pickle would make, as notes of it: objects with the names they would be of, and arrays as bytes. */

/** A name that would be imported: `sklearn.pipeline.Pipeline`. */
export class Global {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** What a call would give. */
export class Made {
  readonly callee: unknown;
  readonly args: unknown;
  state: unknown = null;
  readonly items: unknown[] = [];
  constructor(callee: unknown, args: unknown) {
    this.callee = callee;
    this.args = args;
  }
}

/** An array whose bytes lie in the file. */
export class StoredArray {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Buffer;
  constructor(dtype: string, shape: readonly number[], data: Buffer) {
    this.dtype = dtype;
    this.shape = shape;
    this.data = data;
  }
}

/** `<i8`, `|O`, `<U12` of what makes a numpy.dtype; null for anything else. */
export function dtypeOf(value: unknown): string | null {
  if (!(value instanceof Made) || !(value.callee instanceof Global) || value.callee.name !== 'numpy.dtype') return null;
  const code = Array.isArray(value.args) ? String(value.args[0]) : '';
  const order = Array.isArray(value.state) ? String(value.state[1]) : '|';
  return `${order}${code}`;
}

/** What an array is made of, however its protocol writes it; null for what is none of one dimension. */
function contentOf(value: unknown): { dtype: string; data: unknown } | null {
  if (value instanceof StoredArray) return value.shape.length === 1 ? value : null;
  if (!(value instanceof Made) || !Array.isArray(value.args)) return null;
  const args = value.args as unknown[];
  const isOne = (shape: unknown): boolean => Array.isArray(shape) && shape.length === 1;
  // Protocol 5: numpy's _frombuffer(bytes, dtype, shape, order).
  if (value.callee instanceof Global && value.callee.name.endsWith('._frombuffer')) {
    return isOne(args[2]) ? { dtype: dtypeOf(args[1]) ?? '', data: bytesOf(args[0]) } : null;
  }
  if (!Array.isArray(value.state) || value.state.length !== 5) return null;
  const [, shape, type, , content] = value.state as unknown[];
  return isOne(shape) ? { dtype: dtypeOf(type) ?? '', data: bytesOf(content) } : null;
}

/** Protocols before 3 have no bytes: they write a text, and that it is to be encoded. */
function bytesOf(value: unknown): unknown {
  if (value instanceof Made && value.callee instanceof Global && value.callee.name === '_codecs.encode') {
    return Buffer.from(String((value.args as unknown[])[0]), 'latin1');
  }
  return value;
}

/** The elements of a one-dimensional array of whole numbers, truth values or texts; null for anything else. */
export function elementsOf(value: unknown): (string | number | boolean)[] | null {
  const content = contentOf(value);
  if (content === null) return null;
  const { dtype, data } = content;
  if (Array.isArray(data)) {
    const plain = data.every((one) => ['string', 'number', 'boolean'].includes(typeof one));
    return plain ? (data as (string | number | boolean)[]) : null;
  }
  if (!(data instanceof Uint8Array)) return null;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const text = /U(\d+)$/.exec(dtype);
  if (text !== null) {
    const width = 4 * Number(text[1]);
    return chunks(bytes, width).map((one) =>
      chunks(one, 4)
        .map((point) => point.readUInt32LE(0))
        .filter((point) => point > 0 && point <= 0x10ffff)
        .map((point) => String.fromCodePoint(point))
        .join(''),
    );
  }
  if (/b1$|\?$/.test(dtype)) return [...bytes].map((one) => one === 1);
  const whole = /^[<|=]([iu])([1248])$/.exec(dtype);
  if (whole === null) return null;
  const size = Number(whole[2]);
  return chunks(bytes, size).map((one) =>
    size === 8 ? Number(one.readBigInt64LE(0)) : whole[1] === 'i' ? one.readIntLE(0, size) : one.readUIntLE(0, size),
  );
}

function chunks(bytes: Buffer, size: number): Buffer[] {
  if (!(size > 0)) return [];
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

/** The name of the class that a value would be of; null where it is no object of a class. */
export function classOf(value: unknown): string | null {
  if (!(value instanceof Made)) return null;
  if (value.callee instanceof Global) {
    // `copyreg._reconstructor(class, object, None)`, of protocols 0 and 1.
    const isCopy = /^copy_?reg\._reconstructor$/.test(value.callee.name) && Array.isArray(value.args);
    const made = isCopy ? (value.args as unknown[])[0] : value.callee;
    return made instanceof Global ? made.name : null;
  }
  return null;
}

/** The attributes of an object, as its state has them. */
export function attributesOf(value: unknown): ReadonlyMap<unknown, unknown> {
  const state = value instanceof Made ? (Array.isArray(value.state) ? value.state[0] : value.state) : null;
  return state instanceof Map ? state : new Map();
}
