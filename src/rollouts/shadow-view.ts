/** A shadow's comparison as API, CLI and console show it: what became of the copies, how far answers agree, where least, and the pairs that matter most. */
import {
  LATENCY_EDGES_MS,
  type ShadowEvidence,
  type StageEvidence,
  type WorstPair,
} from '../serving/endpoints/arm-evidence.ts';
import { cohenKappa, concordanceOfMoments, tableOf } from './statistics/agreement.ts';
import { quantileOfCounts } from './statistics/quantile-sequence.ts';

export type ShadowView = {
  /** `candidate`, `noise-floor` (the current version against itself), or `version-N` for one that runs besides. */
  readonly name: string;
  /** Copies by what became of them. */
  readonly statuses: ShadowEvidence['statuses'];
  readonly pairs: number;
  /** Pairs whose decision differs. */
  readonly flips: number;
  readonly kappa: number | null;
  /** Lin's concordance of numbers. */
  readonly concordance: number | null;
  /** Mean overlap of rankings or similarity of texts. */
  readonly similarity: number | null;
  /** Mean of shadow minus live, in units of the output. */
  readonly bias: number | null;
  readonly otherForms: number;
  readonly newErrors: Readonly<Record<string, number>>;
  readonly p99Ms: { readonly live: number | null; readonly shadow: number | null };
  /** Those that differ most often first. */
  readonly slices: readonly { readonly slice: string; readonly pairs: number; readonly flips: number }[];
  /** The most costly first. */
  readonly worst: readonly WorstPair[];
};

const DISPLAY_ALPHA = 0.05;

export function shadowViews(evidence: StageEvidence | null): ShadowView[] {
  return Object.entries(evidence?.shadows ?? {}).map(([name, shadow]) => ({
    name,
    statuses: shadow.statuses,
    pairs: shadow.pairs,
    flips: shadow.flips,
    kappa: cohenKappa(tableOf(shadow.flipMatrix).table),
    concordance: concordanceOfMoments(shadow.live, shadow.shadow, shadow.comoment),
    similarity: shadow.similarity.n > 0 ? shadow.similarity.mean : null,
    bias: shadow.difference.n > 0 ? shadow.difference.mean : null,
    otherForms: shadow.schemaMismatches,
    newErrors: shadow.newErrors,
    p99Ms: { live: p99(shadow.liveLatency), shadow: p99(shadow.shadowLatency) },
    slices: Object.entries(shadow.bySlice)
      .map(([slice, one]) => ({ slice, ...one }))
      .sort((a, b) => b.flips / b.pairs - a.flips / a.pairs),
    worst: shadow.worst,
  }));
}

function p99(counts: readonly number[]): number | null {
  const found = quantileOfCounts(LATENCY_EDGES_MS, counts, 0.99, DISPLAY_ALPHA);
  return found === null || !Number.isFinite(found.high) ? null : found.high;
}
