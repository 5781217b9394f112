/** Whether what was made may take the place of what it was made of. Pure. */
import type { ComparedRows } from '../../registry/conversion-report.ts';
import type { Comparison } from './comparison.ts';
import { type ConversionSpec, DEFAULT_FIDELITY, DEFAULT_LOST } from './conversion.ts';

/** Null when it may; else why not, and what to do. */
export function judge(
  spec: ConversionSpec,
  comparison: Comparison,
  rows: ComparedRows,
): { readonly reason: string; readonly hint: string } | null {
  const compared = rows.golden + rows.example + rows.reference + rows.drawn;
  if (compared === 0) {
    return {
      reason: 'The version answers none of the rows, so nothing could be compared.',
      hint: 'Deploy it with a golden set: inputs that the model answers, with its answers.',
    };
  }
  const outputs = comparison.outputs();
  if (spec.kind === 'convert') {
    const off = outputs.filter((output) => output.unequal > 0);
    if (off.length === 0) return null;
    const told = off.map(({ name, unequal, values, largestDifference }) => {
      const most = largestDifference === null ? '' : `, by up to ${Number(largestDifference.toPrecision(3))}`;
      return `${name} differs in ${unequal} of ${values} values${most}`;
    });
    return {
      reason: `The answers are not the same: ${told.join('; ')}. The version stays as it is.`,
      hint: `The largest: ${comparison.worst() ?? 'unknown'}. Keep it in Python, or allow more with --tolerance if that is no harm.`,
    };
  }
  const least = spec.leastFidelity ?? DEFAULT_FIDELITY;
  const poor = outputs.filter((output) => output.fidelity < least);
  if (poor.length > 0) {
    const told = poor.map(({ name, fidelity }) => `${name} keeps ${percent(fidelity)}`);
    return {
      reason: `Too many answers change: ${told.join('; ')}, and ${percent(least)} was asked for.`,
      hint: 'Try another way (--quantize fp16, or int8-static with a reference set), or allow less with --least.',
    };
  }
  if (spec.truth === undefined) return null;
  const mostLost = spec.mostLost ?? DEFAULT_LOST;
  const accuracy = comparison.accuracy({ truth: spec.truth, mostLost });
  if (accuracy === null) {
    return {
      reason: `No row of the reference set has a value in ${spec.truth} and in all inputs, so nothing says what was right.`,
      hint: 'Look at the reference set, or leave --truth out.',
    };
  }
  if (accuracy.before - accuracy.after <= mostLost) return null;
  return {
    reason: `It loses too much: ${percent(accuracy.before)} right before, ${percent(accuracy.after)} after, on ${accuracy.rows} rows.`,
    hint: 'Try another way of quantising, or allow more with --most-lost.',
  };
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(2))} %`;
}
