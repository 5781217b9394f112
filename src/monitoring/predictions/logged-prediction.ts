/** A logged prediction as people see it, and its place in a list. */
import { SlipwayError } from '../../base/errors.ts';

export type LoggedPrediction = {
  readonly id: string;
  readonly row: number;
  readonly at: string;
  readonly model: string | null;
  readonly version: number | null;
  readonly digest: string | null;
  readonly arm: string | null;
  readonly reason: string | null;
  readonly unit: string | null;
  readonly status: string;
  readonly latencyMs: number | null;
  readonly requestId: string | null;
  readonly protocol: string | null;
  readonly shadowOf: string | null;
  readonly joinKey: string | null;
  readonly weight: number | null;
  readonly inputs: Record<string, unknown>;
  readonly outputs: Record<string, unknown>;
};

/** @param columns kinds of inputs and outputs by name */
export function showEvent(row: Record<string, unknown>, columns: ReadonlyMap<string, string>): LoggedPrediction {
  const inputs: Record<string, unknown> = {};
  const outputs: Record<string, unknown> = {};
  for (const [name, kind] of columns) {
    const value = row[name];
    if (value === null || value === undefined) continue;
    const shown = kind === 'vector' ? JSON.parse(String(value)) : jsonNumber(value);
    if (name.startsWith('input.')) inputs[name.slice(6)] = shown;
    else outputs[name.slice(7)] = shown;
  }
  const text = (name: string): string | null => (row[name] == null ? null : String(row[name]));
  const number = (name: string): number | null => (row[name] == null ? null : Number(row[name]));
  return {
    id: String(row['id']),
    row: Number(row['row']),
    at: new Date(Number(row['at'])).toISOString(),
    model: text('model'),
    version: number('version'),
    digest: text('digest'),
    arm: text('arm'),
    reason: text('reason'),
    unit: text('unit'),
    status: text('status') ?? 'answered',
    latencyMs: number('latencyMs'),
    requestId: text('requestId'),
    protocol: text('protocol'),
    shadowOf: text('shadowOf'),
    joinKey: text('joinKey'),
    weight: number('weight'),
    inputs,
    outputs,
  };
}

/** JSON has no NaN and no infinities. */
function jsonNumber(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

/** The place of a prediction in a list. */
export function cursorOf({ at, id, row }: Pick<LoggedPrediction, 'at' | 'id' | 'row'>): string {
  return JSON.stringify([Date.parse(at), id, row]);
}

/** @throws SlipwayError `invalid_cursor` */
export function placeOf(text: string): [number, string, number] {
  try {
    const [at, id, row] = JSON.parse(text) as unknown[];
    if (typeof at === 'number' && typeof id === 'string' && typeof row === 'number') return [at, id, row];
  } catch {
    // told below
  }
  throw new SlipwayError('invalid_cursor', 'The cursor was not made by this list', {
    hint: 'Take nextCursor of the page before.',
  });
}
