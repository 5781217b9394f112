import { readFileSync, writeFileSync } from 'node:fs';
import { randomNumbers } from '../src/base/random-numbers.ts';

/** Bodies in one file: enough rows that no branch predictor knows them by heart. */
const ROWS = 4096;

export type BodyForm = 'open-inference' | 'plain';

/** The text of one request for these rows. */
export type WriteBody = (rows: readonly (readonly number[])[]) => string;

/**
 * Writes a file of request bodies, each behind its length, with rows spread as the model's training data was.
 * @param rowsPerBody rows in one request
 */
export function writeBodies(path: string, form: BodyForm | WriteBody, rowsPerBody: number): void {
  const write: WriteBody = typeof form === 'function' ? form : (some) => JSON.stringify(bodyOf(form, some));
  const rows = drawRows(ROWS);
  const parts: Buffer[] = [];
  for (let at = 0; at + rowsPerBody <= ROWS; at += rowsPerBody) {
    const body = Buffer.from(write(rows.slice(at, at + rowsPerBody)));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(body.length);
    parts.push(length, body);
  }
  writeFileSync(path, Buffer.concat(parts));
}

/** One body, to try a server with. */
export function oneBody(form: BodyForm): string {
  return JSON.stringify(bodyOf(form, drawRows(1)));
}

function bodyOf(form: BodyForm, rows: readonly (readonly number[])[]): unknown {
  if (form === 'plain') return { inputs: { X: rows } };
  return { inputs: [{ name: 'X', shape: [rows.length, rows[0]!.length], datatype: 'FP32', data: rows.flat() }] };
}

function drawRows(count: number): number[][] {
  const file = new URL('models/tab-rows.json', import.meta.url);
  const { mean, factor } = JSON.parse(readFileSync(file, 'utf8')) as { mean: number[]; factor: number[][] };
  const normal = createNormal(7);
  return Array.from({ length: count }, () => {
    const z = mean.map(() => normal());
    return mean.map((m, i) => {
      const value = factor[i]!.reduce((sum, f, j) => sum + f * z[j]!, m);
      return Math.round(value * 1e4) / 1e4;
    });
  });
}

/** Normal numbers by Box and Muller, the same in every run. */
function createNormal(seed: number): () => number {
  const uniform = randomNumbers(seed);
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
