/** What is frozen from control before a stage, so that the canary cannot move what it is measured by. */
import { LATENCY_EDGES_MS, type Moments, type StageEvidence } from '../serving/endpoints/arm-evidence.ts';
import type { OutputMeasure } from '../serving/endpoints/traffic.ts';
import type { Plan } from './plan.ts';
import type { Rollout } from './rollout.ts';
import { CONTROL, joinMoments, REST } from './strata.ts';

/** Timed calls of control from which its levels are taken. */
export const LEAST_TIMED = 100;

/** Deciles of the normal distribution: where a number's range is cut, by control's mean and spread. Any edges are right, if they are fixed before. */
const CUTS = [-1.2816, -0.8416, -0.5244, -0.2533, 0, 0.2533, 0.5244, 0.8416, 1.2816];

/** Whether the plan has gates that compare with what control was before the stage. */
export function needsBaseline(plan: Plan): boolean {
  return plan.stages.some(
    (stage) =>
      stage.kind !== 'approve' &&
      stage.gates.some(
        (gate) => gate.role !== 'report' && (gate.kind === 'exceedance' || gate.kind === 'output-shift'),
      ),
  );
}

export function timedByControl(evidence: StageEvidence | null): number {
  return evidence?.arms[CONTROL]?.timed ?? 0;
}

/** Latency levels and edges of outputs from what control showed; those there are where it showed too little. */
export function freezeBaseline(
  rollout: Rollout,
  evidence: StageEvidence | null,
): Pick<Rollout, 'latencyLevelsMs' | 'outputs'> {
  const control = evidence?.arms[CONTROL];
  const kept = { latencyLevelsMs: rollout.latencyLevelsMs, outputs: rollout.outputs };
  if (!control || control.timed < LEAST_TIMED) return kept;
  const level = (p: number): number => levelOf(control.latency, p);
  const others = [control.moments, evidence?.arms[REST]?.moments ?? {}];
  const momentsOf = (output: string): Moments =>
    others.flatMap((moments) => moments[output] ?? []).reduce(joinMoments, { n: 0, mean: 0, m2: 0 });
  return {
    latencyLevelsMs: [level(0.5), level(0.95), level(0.99)],
    outputs: rollout.outputs.map((measure) => withEdges(measure, momentsOf(measure.output))),
  };
}

/** Once set, edges stay: counts of stages with other edges could not be joined. */
function withEdges(measure: OutputMeasure, { n, mean, m2 }: Moments): OutputMeasure {
  if (measure.kind !== 'number' || measure.edges.length > 0 || n < LEAST_TIMED || !(m2 > 0)) return measure;
  const spread = Math.sqrt(m2 / (n - 1));
  return { ...measure, edges: CUTS.map((cut) => mean + cut * spread) };
}

/** The upper edge of the bucket in which a share p of the calls is reached. */
function levelOf(counts: readonly number[], p: number): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  let seen = 0;
  for (let place = 0; place < counts.length; place++) {
    seen += counts[place]!;
    if (seen >= p * total) return LATENCY_EDGES_MS[place] ?? LATENCY_EDGES_MS.at(-1)!;
  }
  return LATENCY_EDGES_MS.at(-1)!;
}
