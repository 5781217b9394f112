/** A prediction that another system made, and how the payloads of other systems become rows with named values. Pure. */
import { createHash } from 'node:crypto';

export type ForeignValue = number | string | boolean | readonly number[] | null;
export type ForeignRow = Readonly<Record<string, ForeignValue>>;

export type ForeignPrediction = {
  readonly id: string;
  /** ms since 1970. */
  readonly atMs: number;
  readonly model: string | null;
  readonly version: number | null;
  readonly latencyMs: number | null;
  readonly status: string;
  /** Rows by position: row i of both belong together. */
  readonly inputs: readonly ForeignRow[];
  readonly outputs: readonly ForeignRow[];
};

/** Names for values that come without. */
export type Names = { readonly inputs: readonly string[]; readonly outputs: readonly string[] };

/** What cannot be read, for messages: nothing of the payload stands in it. */
export class ForeignFault extends Error {}

/** Ids that other systems leave out: the same record has the same one. */
export function idOf(...parts: readonly string[]): string {
  return `import-${createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 32)}`;
}

/** A time as others write it: RFC 3339, or seconds, milliseconds, or nanoseconds since 1970. */
export function timeOf(value: unknown): number | null {
  const text = String(value ?? '').trim();
  if (text === '') return null;
  const number = Number(text);
  const ms = Number.isNaN(number)
    ? Date.parse(text)
    : number > 1e17
      ? number / 1e6
      : number > 1e11
        ? number
        : number * 1000;
  return Number.isFinite(ms) && ms >= 0 && ms <= 8.64e15 ? ms : null;
}

/**
 * Rows of a payload: lists of rows, or of objects; `instances`/`predictions` (TensorFlow, KServe 1), `inputs`/`outputs` (Open Inference
 * Protocol), `data` with `ndarray` or `tensor` (Seldon), or one plain object.
 * @throws ForeignFault
 */
export function rowsOf(payload: unknown, names: readonly string[]): ForeignRow[] {
  if (Array.isArray(payload)) return payload.map((row) => rowOf(row, names));
  if (typeof payload !== 'object' || payload === null) {
    if (payload === null || payload === undefined) return [];
    return [rowOf(payload, names)];
  }
  const given = payload as Record<string, unknown>;
  for (const key of ['instances', 'predictions']) {
    const rows = given[key];
    if (!Array.isArray(rows)) continue;
    // Lists beside it with a value for each row, such as the probabilities beside the classes, are columns too.
    const beside = Object.entries(given).filter(
      ([name, list]) => name !== key && Array.isArray(list) && list.length === rows.length && rows.length > 0,
    );
    return rows.map((row, at) => ({
      ...rowOf(row, names),
      ...Object.fromEntries(beside.map(([name, list]) => [name, foreignValue((list as unknown[])[at])])),
    }));
  }
  for (const key of ['inputs', 'outputs']) {
    const tensors = given[key];
    if (Array.isArray(tensors) && tensors.every((one) => typeof one === 'object' && one !== null && 'data' in one)) {
      return rowsOfTensors(tensors as Tensor[], names);
    }
  }
  const data = given['data'] as
    | { names?: unknown; ndarray?: unknown; tensor?: Tensor & { values?: unknown } }
    | undefined;
  if (typeof data === 'object' && data !== null) {
    const own = Array.isArray(data.names) && data.names.length > 0 ? data.names.map(String) : names;
    if (Array.isArray(data.ndarray)) return rowsOf(data.ndarray, names.length > 0 ? names : own);
    if (data.tensor !== undefined) {
      const { shape, values } = data.tensor;
      return rowsOfTensors([{ shape, data: values }], names.length > 0 ? names : own);
    }
  }
  if (typeof given['strData'] === 'string') return [rowOf(given['strData'], names)];
  if (typeof given['jsonData'] === 'object') return rowsOf(given['jsonData'], names);
  return [rowOf(given, names)];
}

type Tensor = { readonly name?: unknown; readonly shape?: unknown; readonly data?: unknown };

/** Tensors whose first dimension is the rows; one of more columns has them numbered, or named where it is alone. */
function rowsOfTensors(tensors: readonly Tensor[], names: readonly string[]): ForeignRow[] {
  const rows: Record<string, ForeignValue>[] = [];
  for (const { name, shape, data } of tensors) {
    const flat = Array.isArray(data) ? data.flat(Number.POSITIVE_INFINITY) : [];
    const sizes = Array.isArray(shape) ? shape.map(Number) : [flat.length];
    const count = sizes.length === 0 ? 1 : sizes[0]!;
    const width = count === 0 ? 0 : flat.length / count;
    if (!Number.isInteger(width) || !(count >= 0 && count <= flat.length))
      throw new ForeignFault('has a tensor whose shape does not fit its data');
    const own = tensors.length === 1 && names.length === width ? names : null;
    for (let row = 0; row < count; row++) {
      const target = rows[row] ?? {};
      rows[row] = target;
      for (let at = 0; at < width; at++) {
        const base = name === undefined ? String(at) : width === 1 ? String(name) : `${String(name)}.${at}`;
        target[own?.[at] ?? base] = foreignValue(flat[row * width + at]);
      }
    }
  }
  return rows;
}

function rowOf(row: unknown, names: readonly string[]): ForeignRow {
  if (Array.isArray(row)) {
    return Object.fromEntries(row.map((value, at) => [names[at] ?? String(at), foreignValue(value)]));
  }
  if (typeof row === 'object' && row !== null) {
    return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, foreignValue(value)]));
  }
  return { [names[0] ?? '0']: foreignValue(row) };
}

/** Lists of numbers are vectors; what is nested otherwise is kept as its JSON. */
function foreignValue(value: unknown): ForeignValue {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') return value;
  if (Array.isArray(value) && value.length === 1) return foreignValue(value[0]);
  if (Array.isArray(value) && value.every((one) => typeof one === 'number')) return value as number[];
  return JSON.stringify(value);
}

/** A cell of a table without types. */
export function cellOf(text: string): ForeignValue {
  const trimmed = text.trim();
  if (trimmed === '') return null;
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) return Number(trimmed);
  if (/^nan$/i.test(trimmed)) return Number.NaN;
  return /^true$/i.test(trimmed) ? true : /^false$/i.test(trimmed) ? false : text;
}
