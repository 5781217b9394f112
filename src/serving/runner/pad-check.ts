import type { Signature } from '../../registry/signature.ts';
import {
  cutRows,
  hasSizes,
  longestSizes,
  type PaddingPlan,
  paddedSizes,
  paddingPlan,
  padRows,
  resizeRow,
  SizeSpan,
} from '../tensors/padding.ts';
import { joinRows } from '../tensors/rows.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { changed, rowDifference, singleRows } from './batch-check.ts';

export type PadVerdict = { readonly canPad: boolean; readonly reason: string };

type Row = readonly Tensor[];
type Run = (inputs: readonly Tensor[], rows: number) => Promise<readonly Tensor[]>;

const MOST_ROWS = 4;
const MOST_PAIRS = 6;

/**
 * Whether calls of different sizes may be padded to share a run. Shown, not believed, as `checkBatching` does it: rows are run alone and
 * beside longer ones, and must be answered the same, within the tolerance of a golden set. Only rows that are known, and what is made of
 * them by cutting, repeating and changing values, are tried: neutral values say nothing of a mask.
 * @param signature one that declares padding, of a model whose rows may share a run
 * @param known calls that the model answers, best first
 */
export async function checkPadding(
  signature: Signature,
  known: readonly Row[],
  maxBatchRows: number,
  run: Run,
): Promise<PadVerdict> {
  const no = (reason: string): PadVerdict => ({ canPad: false, reason });
  const plan = paddingPlan(signature)!;
  const answers = new Map<Row, readonly Tensor[] | null>();
  /** Null for a row that the model does not answer: one that was made up may be such. */
  const alone = async (row: Row): Promise<readonly Tensor[] | null> => {
    if (!answers.has(row)) answers.set(row, await run(row, 1).catch(() => null));
    return answers.get(row)!;
  };

  const told: (readonly Tensor[])[] = [];
  for (const [short, long] of pairsOf(plan, known)) {
    const [shortAlone, longAlone] = [await alone(short), await alone(long)];
    if (shortAlone === null || longAlone === null) continue;
    const rows = maxBatchRows > 2 ? [short, long, short] : [short, long];
    const sizes = rows.map((row) => paddedSizes(plan, row)!);
    const longest = longestSizes(sizes)!;
    const together = await run(joinPadded(plan, rows, longest), rows.length).catch((error: Error) => error);
    if (together instanceof Error) return no(`a padded run failed: ${together.message}`);
    for (const [i, output] of together.entries()) {
      if (output.shape[0] !== rows.length) return no(`${output.name} does not have one row for each row of the inputs`);
      if (!hasSizes(output, plan.outputs[i]!, longest)) {
        return no(`${output.name} has the shape [${output.shape.join(', ')}], which is not that of the padded inputs`);
      }
    }
    for (const [at, row] of rows.entries()) {
      const own = together.map((output, i) => cutRows(output, at, at + 1, plan.outputs[i]!, sizes[at]!));
      const difference = rowDifference(row === long ? longAlone : shortAlone, own);
      if (difference === null) continue;
      const [from, to] = [sizes[at]!.join(' and '), longest.join(' and ')];
      return no(
        row === long
          ? `a row of size ${from} is answered differently beside padded ones: ${difference}`
          : `a row of size ${from} is answered differently when it is padded to ${to}: ${difference}`,
      );
    }
    told.push(shortAlone);
  }
  if (told.length === 0)
    return no('no rows of different sizes are known that the model answers; a golden set would have them');
  // Rows with one and the same answer would not show it if the model counted what is filled in.
  const differ = told.some((one, i) => told.slice(0, i).some((other) => isToldApart(one, other)));
  if (!differ)
    return no(
      'no two padded rows with different answers are known; a golden set with rows of different sizes would show it',
    );
  return { canPad: true, reason: 'rows of different sizes were answered the same alone and padded' };
}

function isToldApart(a: readonly Tensor[], b: readonly Tensor[]): boolean {
  return a.some((output, i) => output.shape.join() === b[i]!.shape.join() && rowDifference([output], [b[i]!]) !== null);
}

/** Rows and longer ones, that the runner would let share a run. */
function* pairsOf(plan: PaddingPlan, known: readonly Row[]): Generator<[Row, Row]> {
  const rows: Row[] = known.flatMap((call) => singleRows(call).slice(0, MOST_ROWS));
  const sized = rows.filter((row) => paddedSizes(plan, row) !== null);
  let pairs = 0;
  for (const [i, a] of sized.entries()) {
    for (const b of sized.slice(i + 1)) {
      const [x, y] = [paddedSizes(plan, a)!, paddedSizes(plan, b)!];
      if (pairs >= MOST_PAIRS || longestSizes([x, y]) === null || !areAlike(plan, a, b)) continue;
      pairs++;
      yield x.some((size, slot) => size < y[slot]!) ? [a, b] : [b, a];
    }
  }
  const few = sized.slice(0, MOST_ROWS);
  for (const [i, row] of few.entries()) {
    const other = few.slice(i + 1).find((one) => areOfOneKind(one, row)) ?? few.find((one) => areOfOneKind(one, row))!;
    const half = resizeRow(plan, row, (size) => Math.ceil(size / 2));
    if (areAlike(plan, half, row) && longestSizes([half, row].map((one) => paddedSizes(plan, one)!)) !== null) {
      yield [half, row];
    }
    const sizes = paddedSizes(plan, row)!;
    // One more, and as many as may be: the bound of SizeSpan.
    const [next, twice] = [1, 2].map((step) =>
      resizeRow(plan, other, (_size, slot) => (step === 1 ? sizes[slot]! + 1 : 2 * sizes[slot]!)),
    );
    for (const short of [row, ...variations(row)]) {
      for (const long of [next!, twice!]) if (areAlike(plan, short, long)) yield [short, long];
    }
  }
}

/** The same inputs, other dimensions than the padded ones alike, and within the bound. */
function areAlike(plan: PaddingPlan, a: Row, b: Row): boolean {
  if (!areOfOneKind(a, b) || !new SizeSpan(plan, a).admits(b)) return false;
  return a.every(({ name, shape }, i) => {
    const padded = plan.inputs.get(name)?.axis;
    return shape.every((size, axis) => axis === padded || size === b[i]!.shape[axis]);
  });
}

function areOfOneKind(a: Row, b: Row): boolean {
  return (
    a.length === b.length && a.every(({ name, shape }, i) => name === b[i]!.name && shape.length === b[i]!.shape.length)
  );
}

/** The row with other values. What holds nothing but 0 and 1 may be a mask, or say a kind: it stays, so that the row remains one that callers could send. */
function* variations(row: Row): Generator<Row> {
  if (row.every(isBinary)) return;
  for (const step of [1, -1, 1000, -1000]) yield row.map((input) => (isBinary(input) ? input : changed(input, step)));
}

function isBinary({ datatype, data }: Tensor): boolean {
  if (datatype === 'BOOL') return true;
  return datatype !== 'BYTES' && (data as Float32Array).every((x) => Number(x) === 0 || Number(x) === 1);
}

function joinPadded(plan: PaddingPlan, rows: readonly Row[], longest: readonly number[]): Tensor[] {
  return rows[0]!.map(({ name }, i) => {
    const parts = rows.map((row) => row[i]!);
    const padded = plan.inputs.get(name);
    return padded === undefined ? joinRows(parts) : padRows(parts, padded, longest[padded.slot]!);
  });
}
