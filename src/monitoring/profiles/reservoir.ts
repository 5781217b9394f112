/**
 * A uniform sample of rows (Efraimidis and Spirakis 2006, with equal weights): each row draws a random key, and the rows with the largest
 * keys stay. Samples merge by their keys, so that any order and tree of merges gives the same one.
 */
export const RESERVOIR_ROWS = 64;

export type ReservoirRow = {
  /** From 0 to 1. */
  readonly key: number;
  /** Keyed hash of the subject, for erasure; null where the policy names none. */
  readonly subject: string | null;
  readonly values: readonly unknown[];
};

/** Ascending by key. */
export type Reservoir = { rows: readonly ReservoirRow[] };

export function createReservoir(): Reservoir {
  return { rows: [] };
}

/** @param row made only when it is kept: most rows are not */
export function offerToReservoir(reservoir: Reservoir, key: number, row: () => Omit<ReservoirRow, 'key'>): void {
  const { rows } = reservoir;
  if (rows.length === RESERVOIR_ROWS && key <= rows[0]!.key) return;
  reservoir.rows = largest([...rows, { key, ...row() }]);
}

export function mergeReservoirs(a: Reservoir, b: Reservoir): Reservoir {
  return { rows: largest([...a.rows, ...b.rows]) };
}

function largest(rows: ReservoirRow[]): ReservoirRow[] {
  return rows.sort((a, b) => a.key - b.key || compareText(JSON.stringify(a), JSON.stringify(b))).slice(-RESERVOIR_ROWS);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
