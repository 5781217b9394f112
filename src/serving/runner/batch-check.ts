import type { Signature } from '../../registry/signature.ts';
import { joinRows, sliceRows } from '../tensors/rows.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { defaultTolerance, differenceOf } from './compare-outputs.ts';

export type BatchVerdict = { readonly canBatch: boolean; readonly reason: string };

type Run = (inputs: readonly Tensor[], rows: number) => Promise<readonly Tensor[]>;

/** Rows tried beside the first until one is answered differently from it. */
const MOST_CANDIDATES = 12;
const REPEATS = 8;

/**
 * Whether rows of different callers may share a run. Shown, not believed: two rows with different answers are run alone, together and as
 * part of a longer run, and must be answered the same each time.
 * @param known calls that the model answers, best first
 */
export async function checkBatching(
  signature: Signature,
  known: readonly (readonly Tensor[])[],
  maxBatchRows: number,
  run: Run,
): Promise<BatchVerdict> {
  const no = (reason: string): BatchVerdict => ({ canBatch: false, reason });
  if (maxBatchRows === 1) return no('the version allows 1 row in a run');
  const fixed = [...signature.inputs.filter((input) => input.optional !== true), ...signature.outputs].find(
    (spec) => spec.shape[0] !== -1,
  );
  if (fixed !== undefined) return no(`the first dimension of ${fixed.name} is not free`);

  const rows = known.flatMap(singleRows);
  const first = rows[0];
  if (first === undefined) return no('no single row is known that the model answers');
  const alone = await run(first, 1);
  const uneven = alone.find((output) => output.shape[0] !== 1);
  if (uneven !== undefined) return no(`${uneven.name} does not have one row for each row of the inputs`);

  let second: readonly Tensor[] | null = null;
  let secondAlone: readonly Tensor[] = [];
  let told = false;
  for (const candidate of [...rows.slice(1), ...variations(first)].slice(0, MOST_CANDIDATES)) {
    if (!sameWidth(first, candidate)) continue;
    // A row that was made up may be one that the model cannot compute.
    const answer = await run(candidate, 1).catch(() => null);
    if (answer === null) continue;
    told = rowDifference(alone, answer) !== null;
    if (second !== null && !told) continue;
    second = candidate;
    secondAlone = answer;
    if (told) break;
  }
  if (second === null) return no('no second row is known that the model answers; a golden set would have one');

  const pair: (readonly Tensor[])[] = [first, second];
  const answers = [alone, secondAlone];
  for (const times of [1, Math.min(REPEATS, Math.floor(maxBatchRows / 2))]) {
    const calls = Array.from({ length: times * 2 }, (_, i) => pair[i % 2]!);
    const together = await run(
      first.map((_, i) => joinRows(calls.map((call) => call[i]!))),
      calls.length,
    ).catch((error: Error) => error);
    if (together instanceof Error) return no(`a run of ${calls.length} rows failed: ${together.message}`);
    const short = together.find((output) => output.shape[0] !== calls.length);
    if (short !== undefined) return no(`${short.name} does not have one row for each row of the inputs`);
    for (let row = 0; row < calls.length; row++) {
      const difference = rowDifference(
        answers[row % 2]!,
        together.map((output) => sliceRows(output, row, row + 1)),
      );
      if (difference !== null) return no(`a row is answered differently beside another one: ${difference}`);
    }
  }
  // Rows with one and the same answer would not show it if the model mixed them up.
  if (!told) return no('no two rows with different answers are known; a golden set with two of them would show it');
  return { canBatch: true, reason: 'two rows were answered the same alone, together and among others' };
}

/** The rows of a call, each as a call of its own. */
export function singleRows(inputs: readonly Tensor[]): Tensor[][] {
  const rows = inputs[0]?.shape[0];
  if (rows === undefined || inputs.some((input) => input.shape[0] !== rows)) return [];
  return Array.from({ length: Math.min(rows, MOST_CANDIDATES) }, (_, row) =>
    inputs.map((input) => sliceRows(input, row, row + 1)),
  );
}

function sameWidth(a: readonly Tensor[], b: readonly Tensor[]): boolean {
  return (
    a.length === b.length &&
    a.every((input, i) => input.name === b[i]!.name && input.shape.join() === b[i]!.shape.join())
  );
}

/** The first difference beyond what a golden set would allow, or null. */
export function rowDifference(expected: readonly Tensor[], actual: readonly Tensor[]): string | null {
  for (let i = 0; i < expected.length; i++) {
    const difference = differenceOf(expected[i]!, actual[i]!, defaultTolerance(expected[i]!.datatype));
    if (difference !== null) return difference;
  }
  return null;
}

/** Rows that may be answered differently from this one: each made by changing all values in one simple way. */
function* variations(row: readonly Tensor[]): Generator<Tensor[]> {
  for (const step of [1, -1, 10, 1000]) yield row.map((input) => changed(input, step));
}

/** The tensor with all values changed in one simple way. */
export function changed(input: Tensor, step: number): Tensor {
  const { data, datatype } = input;
  if (datatype === 'BYTES') return { ...input, data: (data as readonly string[]).map((text) => `${text}${step}`) };
  const copy = data.slice() as Float32Array;
  for (let i = 0; i < copy.length; i++) {
    if (datatype === 'BOOL') copy[i] = 1 - copy[i]!;
    // Half-precision bits: 0x3c00 is 1.0 in FP16 and a small number in BF16; any other finite number serves.
    else if (datatype === 'FP16' || datatype === 'BF16') copy[i] = 0x3c00 + Math.abs(step);
    else if (typeof copy[i] === 'bigint')
      copy[i] = ((copy[i] as unknown as bigint) + BigInt(step)) as unknown as number;
    else copy[i] = copy[i]! + step;
  }
  return { ...input, data: copy };
}
