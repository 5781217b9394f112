/** What two versions' answers to the same calls have in common; fed call by call. */
import type { AccuracyComparison, OutputComparison, Tolerance } from '../../registry/conversion-report.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import { isTie } from '../engines/answers-agree.ts';
import { elementValues } from '../tensors/json-elements.ts';
import type { Tensor } from '../tensors/tensor.ts';

export type Comparison = {
  /** The answers to one call, in the signature's order. @param truth of each row, where something says it */
  add(before: readonly Tensor[], after: readonly Tensor[], rows: number, truth?: readonly string[]): void;
  outputs(): OutputComparison[];
  /** In words, where the largest difference was; null where there is none. */
  worst(): string | null;
  /** null where no row says what was right. */
  accuracy(about: { readonly truth: string; readonly mostLost: number }): AccuracyComparison | null;
};

/** How one output is looked at: as labels, as scores of which the largest counts, or as numbers. */
type Task = 'label' | 'scores' | 'number';

function taskOf({ datatype, shape }: TensorSpec): Task {
  if (!datatype.startsWith('FP') && datatype !== 'BF16') return 'label';
  return shape.length === 2 && (shape[1]! > 1 || shape[1] === -1) ? 'scores' : 'number';
}

export function createComparison(signature: Signature, tolerance: Tolerance, truthOutput: string | null): Comparison {
  const parts = signature.outputs.map((spec) => createPart(spec));
  const chosen = truthOutput === null ? 0 : signature.outputs.findIndex((spec) => spec.name === truthOutput);
  const truths: { readonly before: unknown; readonly after: unknown; readonly truth: string }[] = [];
  let worst = { size: 0, words: null as string | null };

  function createPart(spec: TensorSpec) {
    let values = 0;
    let unequal = 0;
    let largest = 0;
    let relative = 0;
    let rowsSame = 0;
    let rows = 0;
    const numbers = { count: 0, sum: 0, squares: 0, errors: 0 };
    const task = taskOf(spec);

    const note = (size: number, at: number, a: unknown, b: unknown): void => {
      if (size <= worst.size) return;
      worst = { size, words: `${spec.name}: ${shown(a)} before, ${shown(b)} after, at place ${at} of a call's values` };
    };

    const one = (a: unknown, b: unknown, at: number, tied: () => boolean): void => {
      values += 1;
      if (
        typeof a === 'number' &&
        typeof b === 'number' &&
        Number.isFinite(a) &&
        Number.isFinite(b) &&
        task !== 'label'
      ) {
        const distance = Math.abs(a - b);
        largest = Math.max(largest, distance);
        relative = Math.max(relative, distance / (1 + Math.abs(a)));
        numbers.count += 1;
        numbers.sum += a;
        numbers.squares += a * a;
        numbers.errors += distance * distance;
        if (distance > tolerance.absolute + tolerance.relative * Math.abs(a)) unequal += 1;
        if (distance > 0) note(distance / (1 + Math.abs(a)), at, a, b);
      } else if (!(a === b || Object.is(a, b)) && !(task === 'label' && tied())) {
        unequal += 1;
        note(Number.POSITIVE_INFINITY, at, a, b);
      }
    };

    return {
      spec,
      task,
      add(before: Tensor, after: Tensor, all: readonly Tensor[], rowCount: number): void {
        const [a, b] = [elementValues(before), elementValues(after)];
        if (before.shape.join() !== after.shape.join() || a.length !== b.length) {
          unequal += Math.max(1, a.length);
          values += Math.max(1, a.length);
          rows += rowCount;
          worst = {
            size: Number.POSITIVE_INFINITY,
            words: `${spec.name}: the shape is [${after.shape.join(', ')}], before [${before.shape.join(', ')}]`,
          };
          return;
        }
        const width = rowCount === 0 ? 0 : a.length / rowCount;
        const isByRow = Number.isInteger(width) && before.shape[0] === rowCount;
        for (let i = 0; i < a.length; i++) {
          one(a[i], b[i], i, () => isByRow && isTie(all, Math.floor(i / width)));
        }
        if (!isByRow || task === 'number') return;
        for (let row = 0; row < rowCount; row++) {
          rows += 1;
          const [x, y] = [a.slice(row * width, (row + 1) * width), b.slice(row * width, (row + 1) * width)];
          const same = task === 'scores' ? largestAt(x) === largestAt(y) : x.every((value, i) => value === y[i]);
          if (same) rowsSame += 1;
        }
      },
      result(): OutputComparison {
        const isNumber = task !== 'label';
        return {
          name: spec.name,
          values,
          largestDifference: isNumber ? largest : null,
          largestRelative: isNumber ? relative : null,
          unequal,
          fidelity: task !== 'number' && rows > 0 ? rowsSame / rows : determination(numbers),
        };
      },
    };
  }

  return {
    add(before, after, rows, truth) {
      for (const [at, part] of parts.entries()) part.add(before[at]!, after[at]!, before, rows);
      if (truth === undefined) return;
      const [a, b] = [
        predicted(parts[chosen]!, before[chosen]!, rows),
        predicted(parts[chosen]!, after[chosen]!, rows),
      ];
      for (let row = 0; row < rows; row++) truths.push({ before: a[row], after: b[row], truth: truth[row]! });
    },
    outputs: () => parts.map((part) => part.result()),
    worst: () => worst.words,
    accuracy({ truth, mostLost }) {
      const known = truths.filter((one) => one.truth.trim() !== '');
      if (known.length === 0) return null;
      const { spec, task } = parts[chosen]!;
      const score = task === 'number' ? explained : shareRight;
      return {
        truth,
        output: spec.name,
        rows: known.length,
        before: score(known.map((one) => [one.before, one.truth])),
        after: score(known.map((one) => [one.after, one.truth])),
        mostLost,
      };
    },
  };
}

/** What each row says, to be held against the truth: a label, the name or place of the largest score, or a number. */
function predicted({ spec, task }: { spec: TensorSpec; task: Task }, tensor: Tensor, rows: number): unknown[] {
  const values = elementValues(tensor);
  const width = values.length / Math.max(1, rows);
  return Array.from({ length: rows }, (_, row) => {
    const own = values.slice(row * width, (row + 1) * width);
    if (task !== 'scores') return own[0];
    const at = largestAt(own);
    return spec.labels?.[at] ?? at;
  });
}

function shareRight(pairs: readonly (readonly [unknown, string])[]): number {
  return pairs.filter(([value, truth]) => isSame(value, truth.trim())).length / pairs.length;
}

/** `1`, `1.0` and `true` are told in many ways in a CSV file. */
function isSame(value: unknown, truth: string): boolean {
  if (String(value) === truth) return true;
  if (typeof value === 'boolean') return /^(1|true|yes)$/i.test(truth) === value;
  return typeof value !== 'string' && truth !== '' && Number(value) === Number(truth);
}

/** R² of predictions: 1 - Σ(predicted - truth)² / Σ(truth - mean)². */
function explained(pairs: readonly (readonly [unknown, string])[]): number {
  const numbers = { count: 0, sum: 0, squares: 0, errors: 0 };
  for (const [value, truth] of pairs) {
    const [a, b] = [Number(truth), Number(value)];
    numbers.count += 1;
    numbers.sum += a;
    numbers.squares += a * a;
    numbers.errors += (a - b) ** 2;
  }
  return determination(numbers);
}

/** 1 - Σ errors² / Σ(x - mean)²; where nothing varies, 1 if nothing differs, else 0. */
function determination({
  count,
  sum,
  squares,
  errors,
}: {
  count: number;
  sum: number;
  squares: number;
  errors: number;
}): number {
  if (count === 0) return 1;
  const spread = squares - (sum * sum) / count;
  if (spread <= 1e-12 * Math.max(1, squares)) return errors <= 1e-9 * Math.max(1, squares) ? 1 : 0;
  return 1 - errors / spread;
}

function largestAt(values: readonly unknown[]): number {
  let at = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[at] as number)) at = i;
  return at;
}

function shown(value: unknown): string {
  return String(typeof value === 'number' ? Number(value.toPrecision(9)) : value).slice(0, 60);
}
