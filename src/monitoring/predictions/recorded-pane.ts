/** A minute of a stream while it is open, and how values are remembered and written. */
import { type OpenProfile, openProfile } from '../profiles/column-profile.ts';
import { createReservoir, type Reservoir } from '../profiles/reservoir.ts';
import { K_ANONYMITY, type TopValue } from '../profiles/top-values.ts';
import type { CellValue } from './cells.ts';

/** Values of a column that are remembered to be common. */
const MAX_COMMON = 512;

export type Pane = {
  readonly startMs: number;
  readonly slices: Map<string, OpenProfile[]>;
  predictions: number;
  failed: number;
  rows: number;
  readonly profiled: Map<string, number>;
  reservoir: Reservoir;
  readonly wholeRows: OpenProfile;
};

export function openPane(startMs: number): Pane {
  return {
    startMs,
    slices: new Map(),
    predictions: 0,
    failed: 0,
    rows: 0,
    profiled: new Map(),
    reservoir: createReservoir(),
    wholeRows: openProfile(null),
  };
}

/** Counts a value up to where it is common. */
export function remember(common: Map<TopValue, number>, value: TopValue): void {
  const known = common.get(value);
  if (known !== undefined) {
    if (known < K_ANONYMITY) common.set(value, known + 1);
  } else if (common.size < MAX_COMMON) common.set(value, 1);
  else {
    // Full of rare ones: they start anew, those that are common stay.
    for (const [other, count] of common) if (count < K_ANONYMITY) common.delete(other);
    if (common.size < MAX_COMMON) common.set(value, 1);
  }
}

/** JSON has no NaN and no infinities; as text they are read back by DuckDB and by our own reader. */
export function jsonOf(value: CellValue): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  return value instanceof Float64Array ? Array.from(value, jsonOf) : value;
}

export function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
