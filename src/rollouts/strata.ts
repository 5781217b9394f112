/** What a stage's evidence says in the form that gates are judged by, and that is kept when the stage ends. */
import type { ArmEvidence, Moments, SliceCounts, StageEvidence } from '../serving/endpoints/arm-evidence.ts';
import type { MeanStratum, OutcomeEvidence, Strata, Stratum } from './rollout.ts';

/** Names of the arms of a rollout. `rest`: served by the current version beside an equally large control; compared for errors only. */
export const CANARY = 'canary';
export const CONTROL = 'control';
export const REST = 'rest';

export const LATENCY_LEVELS = ['p50', 'p95', 'p99'] as const;

/** Keys of strata. */
export const ERRORS = 'errors';
export const latencyKey = (level: string): string => `latency.${level}`;
export const outcomeKey = (metric: string): string => `outcome.${metric}`;
export const outputKey = (output: string, bin: number): string => `output.${output}.${bin}`;
export const sliceKey = (key: string, slice: string): string => `${key}@${slice}`;

type Counts = { readonly events: number; readonly exposures: number };

function stratum(canary: Counts, others: readonly Counts[]): Stratum {
  const exposures = others.reduce((sum, one) => sum + one.exposures, canary.exposures);
  return {
    share: exposures === 0 ? 0 : canary.exposures / exposures,
    canaryEvents: canary.events,
    events: others.reduce((sum, one) => sum + one.events, canary.events),
    canaryExposures: canary.exposures,
  };
}

/** Failures by call, or by unit where units are sticky: a user who fails ten times is one observation. */
function failuresOf(arm: ArmEvidence): Counts {
  if (arm.units !== null) return { events: arm.units.failed, exposures: arm.units.seen };
  return { events: arm.failed, exposures: arm.answered + arm.failed };
}

function overOf(arm: ArmEvidence, level: number): Counts {
  if (arm.units !== null) return { events: arm.units.over[level] ?? 0, exposures: arm.units.seen };
  return { events: arm.over[level] ?? 0, exposures: arm.timed };
}

/** Strata of the current stage; none while one of the sides has nothing to compare with. */
export function strataOf(evidence: StageEvidence | null): Record<string, Stratum> {
  const result: Record<string, Stratum> = {};
  const canary = evidence?.arms[CANARY];
  const control = evidence?.arms[CONTROL];
  if (canary && control) {
    const rest = evidence?.arms[REST];
    const others = rest ? [control, rest] : [control];
    result[ERRORS] = stratum(failuresOf(canary), others.map(failuresOf));
    LATENCY_LEVELS.forEach((level, at) => {
      if (canary.over.length > at) result[latencyKey(level)] = stratum(overOf(canary, at), [overOf(control, at)]);
    });
    for (const [output, counts] of Object.entries(canary.outputs)) {
      const total = (arm: ArmEvidence) => sumOf(arm.outputs[output] ?? []);
      counts.forEach((_, bin) => {
        const of = (arm: ArmEvidence): Counts => ({ events: arm.outputs[output]?.[bin] ?? 0, exposures: total(arm) });
        result[outputKey(output, bin)] = stratum(of(canary), others.map(of));
      });
    }
    for (const [slice, counts] of Object.entries(canary.slices)) {
      const failed = (one: SliceCounts | undefined): Counts => ({
        events: one?.failed ?? 0,
        exposures: (one?.answered ?? 0) + (one?.failed ?? 0),
      });
      result[sliceKey(ERRORS, slice)] = stratum(
        failed(counts),
        others.map((arm) => failed(arm.slices[slice])),
      );
      LATENCY_LEVELS.forEach((level, at) => {
        const over = (one: SliceCounts | undefined): Counts => ({
          events: one?.over[at] ?? 0,
          exposures: one?.timed ?? 0,
        });
        if (counts.over.length > at)
          result[sliceKey(latencyKey(level), slice)] = stratum(over(counts), [over(control.slices[slice])]);
      });
    }
  }
  return result;
}

/** Moments of numeric outputs in the current stage. */
export function meansOf(evidence: StageEvidence | null): Record<string, MeanStratum> {
  const result: Record<string, MeanStratum> = {};
  const canary = evidence?.arms[CANARY];
  const control = evidence?.arms[CONTROL];
  if (!canary || !control) return result;
  for (const [metric, moments] of Object.entries(canary.moments)) {
    const others = [control, evidence?.arms[REST]].flatMap((arm) => arm?.moments[metric] ?? []);
    result[metric] = { canary: moments, control: others.reduce(joinMoments, NONE) };
  }
  return result;
}

/** Strata and moments of feedback, of all stages: labels come late, so they are counted anew each time and never frozen. */
export function outcomeStrata(outcomes: readonly OutcomeEvidence[]): {
  readonly strata: Record<string, Stratum[]>;
  readonly means: Record<string, MeanStratum[]>;
} {
  const strata: Record<string, Stratum[]> = {};
  const means: Record<string, MeanStratum[]> = {};
  for (const { metric, arms } of outcomes) {
    const treated = arms[CANARY];
    const others = Object.entries(arms).flatMap(([name, one]) => (name === CANARY ? [] : [one]));
    if (!treated || others.length === 0) continue;
    const counts = (one: typeof treated): Counts => ({ events: one.bad, exposures: one.labelled });
    const moments = (one: typeof treated): Moments => ({ n: one.labelled, mean: one.mean, m2: one.m2 });
    const key = outcomeKey(metric);
    strata[key] = [...(strata[key] ?? []), stratum(counts(treated), others.map(counts))];
    means[key] = [
      ...(means[key] ?? []),
      { canary: moments(treated), control: others.map(moments).reduce(joinMoments, NONE) },
    ];
  }
  return { strata, means };
}

const NONE: Moments = { n: 0, mean: 0, m2: 0 };

/** Moments of two groups together (Chan, Golub & LeVeque 1979). */
export function joinMoments(a: Moments, b: Moments): Moments {
  if (a.n === 0) return b;
  if (b.n === 0) return a;
  const n = a.n + b.n;
  const step = b.mean - a.mean;
  return { n, mean: a.mean + (step * b.n) / n, m2: a.m2 + b.m2 + (step * step * a.n * b.n) / n };
}

/** Finished stages with the current one added. */
export function withCurrent<T>(
  finished: Readonly<Record<string, readonly T[]>>,
  current: Readonly<Record<string, T>>,
): Record<string, readonly T[]> {
  const result: Record<string, readonly T[]> = { ...finished };
  for (const [key, one] of Object.entries(current)) result[key] = [...(finished[key] ?? []), one];
  return result;
}

/** Bytes of strata that are kept of one rollout, so that its state stays below 100 kB whatever its traffic, slices, outputs and stages are. */
const MAX_STRATA_BYTES = 30_000;

/**
 * What is kept of a stage that ends. Where there is too much, whole slices and bins of outputs go, those with the fewest events first: how
 * many events there were says nothing of which arm had them, so nothing is picked by its result.
 */
export function keepStrata(finished: Strata, current: Readonly<Record<string, Stratum>>): Strata {
  const told = Object.entries(current).filter(([, one]) => one.canaryExposures > 0);
  const all: Record<string, readonly Stratum[]> = withCurrent(finished, Object.fromEntries(told));
  const bytesOf = (key: string): number => Buffer.byteLength(JSON.stringify({ [key]: all[key] }));
  let bytes = Object.keys(all).reduce((sum, key) => sum + bytesOf(key), 0);
  if (bytes <= MAX_STRATA_BYTES) return all;
  const eventsOf = (strata: readonly Stratum[]): number => strata.reduce((sum, one) => sum + one.events, 0);
  const spare = Object.entries(all)
    .filter(([key]) => key.includes('@') || key.startsWith('output.'))
    .sort(([, a], [, b]) => eventsOf(a) - eventsOf(b));
  for (const [key] of spare) {
    if (bytes <= MAX_STRATA_BYTES) break;
    bytes -= bytesOf(key);
    delete all[key];
  }
  return all;
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
